"""What an operator decides about deepstream clients: the config's ``deepstream`` section, without the paths. Times are seconds."""

from __future__ import annotations

import math
from typing import Any

import attrs

from trio_router.routing.listen import ListenOptions


def _positive(_: object, __: object, value: Any) -> None:
    if value is not None and not (value > 0 and math.isfinite(value)):
        raise ValueError("must be greater than 0")


@attrs.frozen
class DeepstreamOptions:
    """See docs/reference/deepstream.md. ``auth_timeout`` and ``auth_attempts``: None takes ``login_timeout`` and ``login_attempts`` of the limits.

    ``rpc_accept_timeout``: for a provider to accept a call. ``rpc_response_timeout``: from a call to its answer.
    ``requestor_name``, ``requestor_data``: tell providers the id and the clientData of those deepstream users who call them.
    The rest is how providers of events are looked for, see ``routing.listen.ListenOptions``.
    """

    auth_timeout: float | None = attrs.field(default=None, validator=_positive)
    auth_attempts: int | None = attrs.field(default=None, validator=_positive)
    heartbeat_interval: float = attrs.field(default=30.0, validator=_positive)
    rpc_accept_timeout: float = attrs.field(default=1.0, validator=_positive)
    rpc_response_timeout: float = attrs.field(default=10.0, validator=_positive)
    requestor_name: bool = False
    requestor_data: bool = False
    listen_response_timeout: float = attrs.field(default=0.5, validator=_positive)
    listen_shuffle: bool = True
    listen_rematch_interval: float = attrs.field(default=60.0, validator=_positive)
    listen_match_cooldown: float = attrs.field(default=10.0, validator=_positive)

    @property
    def listening(self) -> ListenOptions:
        """How the core looks for providers of events."""
        return ListenOptions(
            response_timeout=self.listen_response_timeout,
            shuffle_providers=self.listen_shuffle,
            rematch_interval=self.listen_rematch_interval,
            match_cooldown=self.listen_match_cooldown,
        )
