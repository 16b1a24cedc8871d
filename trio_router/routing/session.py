"""One logged-in session as the core holds it: who it is, how to reach it, and what it has open.

The books in here are written by :mod:`events <trio_router.routing.events>`, :mod:`listen <trio_router.routing.listen>`,
:mod:`rpc <trio_router.routing.rpc>` and :mod:`presence <trio_router.routing.presence>`, each its own, so that everything a session holds can be
counted against its limits, decided again and given back when it leaves. It knows no protocol and no socket.

What others are told about a session is made here once, from its identity (T28).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from trio_router.identity import Identity
from trio_router.protocols.messages import Publisher
from trio_router.routing.peer import Peer

if TYPE_CHECKING:
    from trio_router.routing.call import Call
    from trio_router.routing.providers import Offer
    from trio_router.routing.searches import Listen, Waiting
    from trio_router.routing.subscriptions import Subscription
    from trio_router.routing.trust import Openings


class Session:
    """What one session is and has. Compared by identity."""

    __slots__ = (
        "asks",
        "calls",
        "client_data",
        "connections",
        "everybody",
        "home",
        "identity",
        "invocations",
        "kept",
        "listens",
        "offers",
        "openings",
        "paid",
        "peer",
        "publisher",
        "subscriptions",
        "waiting",
        "watches",
    )

    def __init__(self, identity: Identity, peer: Peer, client_data: Any = None) -> None:
        self.identity = identity
        self.peer = peer
        self.home: object = None  # the sessions of the core it is attached to
        self.paid = False  # its next request was counted already, and is tried again
        self.client_data = client_data  # what its login handed out to the client, a JSON value
        self.publisher = Publisher(identity.session_id, identity.user.id)
        self.subscriptions: dict[str, Subscription] = {}  # by channel or pattern, as subscribed
        self.connections: dict[str, None] = {}  # channels it may send to without receiving them
        self.listens: dict[str, Listen] = {}  # by pattern
        self.asks = 0  # questions of listen_found it has not answered yet
        self.waiting: Waiting | None = None  # and those it is asked when it has answered some
        self.openings: Openings = {}  # what of all this a trust-token opened
        self.offers: dict[str, Offer] = {}  # by procedure
        self.calls: dict[str, Call] = {}  # made by this session and not yet answered, by its own tag
        self.kept = 0  # bytes of data of these calls
        self.invocations: dict[str, Call] = {}  # chosen to answer, by the router's call id
        self.watches: dict[str, Subscription] = {}  # presence of named users
        self.everybody = False  # presence of everybody it may see

    @property
    def id(self) -> str:
        """The session id, unique over all apps."""
        return self.identity.session_id

    def __repr__(self) -> str:
        return f"<session {self.identity.session_id} of {self.identity.app}>"
