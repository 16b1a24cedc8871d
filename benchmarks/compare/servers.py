"""The servers that are measured side by side.

What a server is asked to do is the same for all; where one cannot do it, it is left out by name. A server that cannot be had on this
machine is named together with the reason.
"""

from __future__ import annotations

from typing import Final

from benchmarks.compare.peers import PEERS
from benchmarks.compare.routers import ROUTERS

ALL: Final = [*ROUTERS, *PEERS]
BY_NAME: Final = {server.name: server for server in ALL}
