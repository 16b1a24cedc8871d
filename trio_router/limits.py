"""Every limit in one place, with its unit and its reason. The config file's ``limits:`` section is this class."""

from __future__ import annotations

import attrs

KIB = 1024
MIB = 1024 * 1024


@attrs.frozen
class Rates:
    """How often something may be done, in times per second; 0 is as often as one likes.

    Of each thing: by one session, by one user (of all their sessions), from one address (an IPv6 one is its /64), in the whole app.
    ``burst``: seconds' worth that may come at once, and at least one.

    *Logins* are those that are judged, and refreshes of a token. *Subscriptions* are everything that stands once it is granted:
    subscribe, connect, listen, provide, watch presence. *Calls* are calls and questions: who is present, who participates.
    """

    logins_per_session: float = 0.0
    logins_per_user: float = 0.0
    logins_per_address: float = 0.0
    logins_per_app: float = 0.0
    publishes_per_session: float = 0.0
    publishes_per_user: float = 0.0
    publishes_per_address: float = 0.0
    publishes_per_app: float = 0.0
    calls_per_session: float = 0.0
    calls_per_user: float = 0.0
    calls_per_address: float = 0.0
    calls_per_app: float = 0.0
    subscriptions_per_session: float = 0.0
    subscriptions_per_user: float = 0.0
    subscriptions_per_address: float = 0.0
    subscriptions_per_app: float = 0.0
    burst: float = 2.0


@attrs.frozen
class Limits:
    """Bounds on what one peer can make the router hold or do. Times are seconds, sizes are bytes."""

    # Before a login (quarantine): enough for a token, too little to be worth an attack.
    request_head_size: int = 16 * KIB  # T02
    request_head_timeout: float = 5.0  # T02: from accept to the end of the handshake
    tls_handshake_timeout: float = 5.0
    http_body_size: int = 1 * MIB
    login_timeout: float = 15.0  # T04: from connect to a successful login
    login_attempts: int = 3
    login_message_size: int = 16 * KIB  # a JWT is at most 8 KiB
    unauthenticated_connections: int = 2_000  # T04: total waiting for a login
    overload_delay: float = 2.0  # T14: so late the router may be before it turns newcomers away; 0 never does

    # Connections.
    connections: int = 10_000
    connections_per_ip: int = 1_000

    # Messages of a logged-in session.
    message_size: int = 256 * KIB
    json_depth: int = 32  # T15
    frames_per_message: int = 64  # T07: fragments of one message
    fragment_timeout: float = 10.0  # T07: age of an unfinished message
    control_frames_per_second: int = 20  # T08
    invalid_messages: int = 20  # bad messages a session may send before it is closed

    # What a session may hold.
    subscriptions_per_session: int = 1_000
    listens_per_session: int = 100  # each pattern is tried on every channel that gets its first subscriber
    listen_pattern_length: int = 255  # characters
    procedures_per_session: int = 1_000
    calls_per_session: int = 1_000  # calls a session has made that are not yet answered
    call_data_size: int = 1 * MIB  # T12: data of a session's open calls, kept in case a provider rejects one
    presence_names_per_request: int = 1_000
    invocations_per_provider: int = 1_000  # calls in progress at one session for one procedure

    # Outgoing.
    outbox_size: int = 1 * MIB  # T12: bytes queued for one session
    write_timeout: float = 10.0  # T12: the oldest queued byte may be this old

    # Keepalive: a half-open peer is gone after ping_interval + pong_timeout.
    ping_interval: float = 25.0
    pong_timeout: float = 10.0

    # Calls.
    call_timeout: float = 30.0  # default when the caller gives none
    call_timeout_max: float = 3_600.0

    # Token-bound sessions: seconds a session may outlive its token.
    expiry_grace: float = 5.0

    # Shutdown: closes are spread over this window.
    drain_window: float = 5.0
    drain_timeout: float = 15.0
    returns_per_second: float = (
        250.0  # T14: when those sent away may come back is spread so that no more do; 0: drain_window alone
    )

    # How often.
    rates: Rates = attrs.field(factory=Rates)
