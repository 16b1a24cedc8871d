"""Trust-tokens: an application's word that one session may open one name, signed with its app key.

Owns the claims (``sid cname pub conn_info exp act`` and the header's ``kid``), how such a token is issued and when it holds.
Knows the vocabulary and :mod:`trio_router.tokens` alone, so that an authorisation server can import it without a router.

The rule that keeps it honest: everything a token is bound to is compared with what the router knows by itself (session,
name, action, key), so that a token is worth nothing anywhere else (T50); out comes a :class:`Trust` or ``TokenInvalid``.
"""

from __future__ import annotations

import secrets as chance
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, Literal, final, get_args

import attrs

from trio_router.clock import Clock, SystemClock
from trio_router.errors import TokenInvalid
from trio_router.names import PRIVATE, InvalidName, check_channel, check_request_id, check_user_id, kind_of
from trio_router.secret import Secret
from trio_router.tokens.claims import Claims, ClaimsPolicy
from trio_router.tokens.compact import UnverifiedToken, is_kid, parse
from trio_router.tokens.jwt import JoseVerifier, JwtVerifier, Key, sign
from trio_router.tokens.keys import KeyRefused, shared_secret, signing_secret

TrustAction = Literal["channel.subscribe", "channel.connect", "system_channel.subscribe", "rpc.connect", "rpc.register"]
"""What a session wants a name for: receive it, send to it only, receive a ``sys:`` one, call it, provide it."""

ACTIONS: Final = frozenset(get_args(TrustAction))
ALGORITHM: Final = "HS256"
DEFAULT_TTL: Final = 60.0
MAX_LIFETIME: Final = 3600.0
"""Seconds a token may be good for, unless the router is configured otherwise."""

LONGEST_LIFETIME: Final = 86_400.0
"""Seconds a router can be configured to let one be good for."""

MAX_TOKEN_ID: Final = 255  # what a revocation can name
TOKEN_ID_BYTES: Final = 12  # 96 random bits in sixteen URL-safe characters
PREPARED_KEYS: Final = 1024

_TRUST_CLAIMS: Final = frozenset({"sid", "cname", "pub", "conn_info", "act", "exp", "iat", "nbf", "jti", "iss", "sub"})


@attrs.frozen
class Participant:
    """Who somebody on a ``prs:`` or ``sys:`` channel is, as its application says. ``sysid`` is a user's id by its grammar."""

    sysid: str
    sysinfo: Mapping[str, Any] = attrs.field(factory=dict)


@final
@attrs.frozen(init=False, eq=False)
class Trust:
    """What a token that passed every check opens. ``expires_at`` (seconds since the epoch) includes the leeway.

    ``publish``: whether the holder may send. ``participant`` is None for ``pvt:``, and for procedures that have none.
    ``token_id`` and ``issued_at`` are its ``jti`` and ``iat``, by which it is revoked; None if it has none.
    """

    name: str
    publish: bool
    expires_at: float
    participant: Participant | None
    token_id: str | None
    issued_at: float | None

    def __init__(self, *_: object, **__: object) -> None:
        raise TypeError("Trust is made by TrustVerifier.verify() alone")


def new_token_id() -> str:
    """A token id nobody has had before: 96 random bits, in sixteen URL-safe characters."""
    return chance.token_urlsafe(TOKEN_ID_BYTES)


def issue_trust_token(
    *,
    key: str,
    secret: Secret | str,
    session: str,
    channel: str,
    publish: bool = True,
    participant: Participant | None = None,
    action: TrustAction | None = None,
    ttl: float = DEFAULT_TTL,
    now: float | None = None,
    token_id: str | None = None,
    max_lifetime: float = MAX_LIFETIME,
) -> str:
    """A trust-token: ``session`` may open ``channel`` (or procedure) within ``ttl`` seconds.

    ``key`` is the id of the app key that the session was opened with, ``secret`` one of its live secrets. ``participant`` is
    needed for ``prs:`` and ``sys:`` channels and not allowed for ``pvt:``. Without ``action`` every action is allowed.
    What the token opened ends when it expires. ``now`` is seconds since the epoch, by default what the clock of the system says.
    ``token_id`` is what it is revoked by, by default :func:`new_token_id`. ``max_lifetime`` (seconds) is what the router's
    ``trust.max_lifetime`` says, if that is another one.

    Raises:
        ValueError: an argument is not what it must be, which the text names; nothing is signed then.
    """
    _named("session", check_request_id, session)
    _named("channel", check_channel, channel)
    kind = kind_of(channel)
    if not kind:
        raise ValueError("channel: public names need no token")
    if not is_kid(key):
        raise ValueError("key: must be 1 to 128 printable ASCII characters")
    if action is not None and action not in ACTIONS:
        raise ValueError(f"action: must be one of {', '.join(sorted(ACTIONS))}")
    if not 0 < ttl <= max_lifetime:
        raise ValueError(f"ttl: must be more than 0 and at most {max_lifetime:.0f} seconds")
    token_id = new_token_id() if token_id is None else token_id
    if not (0 < len(token_id) <= MAX_TOKEN_ID and token_id.isascii() and token_id.isprintable()):
        raise ValueError(f"token_id: must be 1 to {MAX_TOKEN_ID} printable ASCII characters")
    if participant is not None:
        if kind == PRIVATE:
            raise ValueError("participant: private names have none")
        _named("participant.sysid", check_user_id, participant.sysid)
    elif action is not None and kind != PRIVATE and not action.startswith("rpc."):
        raise ValueError(f"participant: {kind}: channels need one")
    issued_at = SystemClock().wall() if now is None else now
    claims: dict[str, Any] = {
        "sid": session,
        "cname": channel,
        "pub": publish,
        "conn_info": {} if participant is None else {"sysid": participant.sysid, "sysinfo": dict(participant.sysinfo)},
        "iat": issued_at,
        "exp": issued_at + ttl,
        "jti": token_id,
    }
    if action is not None:
        claims["act"] = action
    held = secret if isinstance(secret, Secret) else Secret(secret)
    return sign(claims, signing_secret(held, ALGORITHM, name="the app key's secret", kid=key))


class TrustVerifier:
    """Decides whether a trust-token holds. It waits for nothing.

    ``secrets`` gives the live secrets of a key (newest first), and nothing for a key that is unknown or disabled.
    ``max_lifetime`` (seconds) bounds how long a token may be good for; ``leeway``, how far the issuer's clock may be off.
    """

    def __init__(
        self,
        secrets: Callable[[str], Sequence[Secret]],
        clock: Clock,
        *,
        max_lifetime: float = MAX_LIFETIME,
        leeway: float = 5.0,
        verifier: JwtVerifier | None = None,
    ) -> None:
        self._secrets = secrets
        self._verifier = verifier or JoseVerifier(clock)
        self._policy = ClaimsPolicy(None, None, leeway=leeway, max_lifetime=max_lifetime)
        self._prepared: dict[str, tuple[tuple[Secret, ...], tuple[Key, ...]]] = {}

    def verify(self, token: object, *, session: str, name: str, action: TrustAction, key: str) -> Trust:
        """What ``token`` opens for the session ``session``, which the app key ``key`` opened.

        Raises:
            TokenInvalid: and nothing else: the reasons of ``JwtVerifier.verify``, and ``session``, ``name``, ``action``: it
                is for another one.
        """
        unverified = parse(token)
        if unverified.kid != key or not key:
            raise TokenInvalid("key")
        claims = self._proven(unverified, key)
        values = claims.values
        if not _TRUST_CLAIMS.issuperset(
            values
        ):  # another kind of token of the same key, or a newer one with conditions
            raise TokenInvalid("claims")
        if values.get("sid") != session:
            raise TokenInvalid("session")
        if values.get("cname") != name:
            raise TokenInvalid("name")
        if "act" in values and values["act"] != action:
            raise TokenInvalid("action")
        publish = values.get("pub")
        if not isinstance(publish, bool):
            raise TokenInvalid("claims")
        trust = Trust.__new__(Trust)
        trust.__attrs_init__(
            name,
            publish,
            claims.expires_at + self._policy.leeway,
            _participant(values.get("conn_info"), name, action),
            claims.token_id,
            claims.issued_at,
        )
        return trust

    def _proven(self, unverified: UnverifiedToken, key: str) -> Claims:
        """Its claims, if one of the key's live secrets signed it."""
        fault = TokenInvalid("key")
        for material in self._keys(key):
            try:
                return self._verifier.verify(unverified, material, self._policy)
            except TokenInvalid as error:
                fault = error
                if error.reason != "signature":
                    break
        raise fault

    def _keys(self, key: str) -> tuple[Key, ...]:
        """The key's secrets, prepared once for as long as they are the same objects."""
        secrets = tuple(self._secrets(key))
        found = self._prepared.get(key)
        if found is not None and list(map(id, found[0])) == list(map(id, secrets)):
            return found[1]
        self._prepared.pop(key, None)
        if not secrets:
            return ()
        while len(self._prepared) >= PREPARED_KEYS:
            del self._prepared[next(iter(self._prepared))]
        try:
            prepared = tuple(shared_secret(secret, [ALGORITHM], name="app key", kid=key) for secret in secrets)
        except KeyRefused:  # a secret too weak to sign with proves nothing
            return ()
        self._prepared[key] = secrets, prepared
        return prepared


def _participant(info: Any, name: str, action: TrustAction) -> Participant | None:
    """The ``conn_info``: ``{}`` for ``pvt:``, an identity for ``prs:`` and ``sys:`` channels, either for ``prs:`` procedures."""
    if not isinstance(info, dict) or not {"sysid", "sysinfo"}.issuperset(info):
        raise TokenInvalid("claims")
    if not info:
        if kind_of(name) != PRIVATE and not action.startswith("rpc."):
            raise TokenInvalid("claims")
        return None
    sysid, sysinfo = info.get("sysid"), info.get("sysinfo", {})
    if kind_of(name) == PRIVATE or not isinstance(sysid, str) or not isinstance(sysinfo, dict):
        raise TokenInvalid("claims")
    try:
        check_user_id(sysid)
    except InvalidName:
        raise TokenInvalid("claims") from None
    return Participant(sysid, sysinfo)


def _named(field: str, check: Callable[[str], None], value: str) -> None:
    try:
        check(value)
    except InvalidName as error:
        raise ValueError(f"{field}: {error}") from None
