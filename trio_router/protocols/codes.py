"""Error and close codes: the contract with every client, in one place.

An *error code* answers one request; the connection goes on. A *close code* ends the connection; its
``advice`` says what a client should do next. WebSocket close codes below 4000 keep their meaning of RFC 6455
and the IANA registry; ours are 4000 to 4499 where reconnecting helps and 4500 to 4999 where it does not.

Numbers and slugs are never reused or renumbered. The text is what the client sees; nothing else of an error is.
"""

from __future__ import annotations

import enum
from typing import Final

import attrs


class Advice(enum.Enum):
    """What a client should do after a close."""

    RECONNECT = "reconnect"  # with jittered back-off, same credentials
    LOGIN_AGAIN = "login_again"  # reconnect, but with new credentials
    STOP = "stop"  # something must change first: the program, the credentials or the configuration


@attrs.frozen
class ErrorCode:
    """The answer to one request. ``temporary`` tells whether the same request may succeed later."""

    number: int
    slug: str
    text: str
    temporary: bool = False


@attrs.frozen
class CloseCode:
    """The end of a connection."""

    number: int
    slug: str
    text: str
    advice: Advice


_errors: dict[int, ErrorCode] = {}
_closes: dict[int, CloseCode] = {}


def _error(number: int, slug: str, text: str, *, temporary: bool = False) -> int:
    assert number not in _errors  # noqa: S101 - checked at import, over a fixed table
    _errors[number] = ErrorCode(number, slug, text, temporary)
    return number


def _close(number: int, slug: str, text: str, advice: Advice) -> CloseCode:
    assert number not in _closes  # noqa: S101 - checked at import, over a fixed table
    code = _closes[number] = CloseCode(number, slug, text, advice)
    return code


# 1xx: the message itself
INVALID_MESSAGE: Final = _error(100, "invalid_message", "the message is not valid")
UNKNOWN_TYPE: Final = _error(101, "unknown_type", "there is no message of this type")
INVALID_NAME: Final = _error(102, "invalid_name", "the name is not valid")
DUPLICATE_ID: Final = _error(103, "duplicate_id", "a request with this id is still open")
NOT_LOGGED_IN: Final = _error(104, "not_logged_in", "log in first")
ALREADY_LOGGED_IN: Final = _error(105, "already_logged_in", "this session is already logged in")
UNEXPECTED_MESSAGE: Final = _error(106, "unexpected_message", "this message is not expected now")
MESSAGE_TOO_BIG: Final = _error(107, "message_too_big", "the message is too big")
INVALID_PATTERN: Final = _error(108, "invalid_pattern", "the pattern is not a valid regular expression")

# 2xx: login
LOGIN_DENIED: Final = _error(200, "login_denied", "the login was denied")
LOGIN_UNAVAILABLE: Final = _error(201, "login_unavailable", "logins cannot be checked at the moment", temporary=True)
LOGIN_BUSY: Final = _error(202, "login_busy", "a login is already in progress")
TOO_MANY_ATTEMPTS: Final = _error(203, "too_many_attempts", "too many login attempts")
REFRESH_DENIED: Final = _error(204, "refresh_denied", "the token was not accepted; the login stays as it was")

# 3xx: permission
DENIED: Final = _error(300, "denied", "the rules do not allow this")
RESERVED: Final = _error(301, "reserved", "the name is reserved")
RULE_FAILED: Final = _error(302, "rule_failed", "the rule could not be decided")
KEY_GRANT: Final = _error(303, "key_grant", "the app key does not grant this")
TOKEN_NEEDED: Final = _error(310, "token_needed", "a trust-token is needed for this name")
TOKEN_REFUSED: Final = _error(311, "token_refused", "the trust-token does not hold here")
TOKEN_EXPIRED: Final = _error(312, "token_expired", "the trust-token that opened this has expired", temporary=True)
NOT_OPEN: Final = _error(313, "not_open", "subscribe or connect to this channel first")
SERVER_ONLY: Final = _error(314, "server_only", "only a server program may do this")

# 4xx: routing
ALREADY_SUBSCRIBED: Final = _error(400, "already_subscribed", "already subscribed")
NOT_SUBSCRIBED: Final = _error(401, "not_subscribed", "not subscribed")
ALREADY_CONNECTED: Final = _error(404, "already_connected", "already connected to this channel")
NOT_CONNECTED: Final = _error(405, "not_connected", "not connected to this channel")
ALREADY_PROVIDED: Final = _error(402, "already_provided", "this session already provides it")
NOT_PROVIDED: Final = _error(403, "not_provided", "this session does not provide it")
ALREADY_LISTENING: Final = _error(406, "already_listening", "already listening with this pattern")
NOT_LISTENING: Final = _error(407, "not_listening", "not listening with this pattern")
NOT_ASKED: Final = _error(408, "not_asked", "this session is not asked for this, or no longer")
NO_PROVIDER: Final = _error(410, "no_provider", "nobody provides this procedure", temporary=True)
PROVIDER_LOST: Final = _error(411, "provider_lost", "the provider left before answering", temporary=True)
CALL_TIMEOUT: Final = _error(412, "call_timeout", "the provider did not answer in time", temporary=True)
CALL_CANCELLED: Final = _error(413, "call_cancelled", "the call was cancelled")
PROVIDER_BUSY: Final = _error(414, "provider_busy", "every provider is at its limit", temporary=True)
PROVIDER_ERROR: Final = _error(415, "provider_error", "the provider answered with an error")
UNKNOWN_CALL: Final = _error(416, "unknown_call", "there is no such call for this session")
ACCEPT_TIMEOUT: Final = _error(417, "accept_timeout", "the provider did not accept in time", temporary=True)
ALREADY_ACCEPTED: Final = _error(418, "already_accepted", "this call was accepted already")

# 5xx: the router
INTERNAL_ERROR: Final = _error(500, "internal_error", "the router failed", temporary=True)
LIMIT_REACHED: Final = _error(501, "limit_reached", "a limit of this session is reached")
NOT_SUPPORTED: Final = _error(502, "not_supported", "the router does not support this")
RATE_LIMITED: Final = _error(503, "rate_limited", "this comes too often", temporary=True)

ERRORS: Final = _errors

# Closes. Registered numbers first.
NORMAL: Final = _close(1000, "normal", "closed", Advice.STOP)
PROTOCOL_ERROR: Final = _close(1002, "protocol_error", "WebSocket protocol error", Advice.STOP)
UNSUPPORTED_DATA: Final = _close(1003, "unsupported_data", "this kind of frame is not understood", Advice.STOP)
INVALID_DATA: Final = _close(1007, "invalid_data", "text is not valid UTF-8", Advice.STOP)
FLOOD: Final = _close(1008, "flood", "too many frames", Advice.STOP)
TOO_BIG: Final = _close(1009, "too_big", "the message is too big", Advice.STOP)
INTERNAL: Final = _close(1011, "internal", "the router failed", Advice.RECONNECT)
RESTART: Final = _close(1012, "restart", "the router restarts", Advice.RECONNECT)
OVERLOADED: Final = _close(1013, "overloaded", "the router is full", Advice.RECONNECT)

SLOW: Final = _close(4000, "slow", "the client reads too slowly", Advice.RECONNECT)
PING_TIMEOUT: Final = _close(4001, "ping_timeout", "the client did not answer", Advice.RECONNECT)
SESSION_EXPIRED: Final = _close(4100, "session_expired", "the login has expired", Advice.LOGIN_AGAIN)
REVOKED: Final = _close(4101, "revoked", "the login was revoked", Advice.LOGIN_AGAIN)

LOGIN_TIMEOUT: Final = _close(4500, "login_timeout", "no login in time", Advice.STOP)
LOGIN_ATTEMPTS: Final = _close(4501, "login_attempts", "too many login attempts", Advice.STOP)
INVALID_MESSAGES: Final = _close(4502, "invalid_messages", "too many invalid messages", Advice.STOP)
REVOKED_FOR_GOOD: Final = _close(4503, "revoked_for_good", "the login was revoked for good", Advice.STOP)
APP_CLOSED: Final = _close(4504, "app_closed", "the app is not served any more", Advice.STOP)

CLOSES: Final = _closes


def error(number: int) -> ErrorCode:
    """The error code with this number (``INTERNAL_ERROR`` for a number that does not exist)."""
    return _errors.get(number, _errors[INTERNAL_ERROR])
