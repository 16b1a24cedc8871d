"""What a service manager is told: systemd's notification protocol, which is one datagram.

The rule that keeps it honest: nobody listening, or somebody who does not answer, changes nothing.
"""

from __future__ import annotations

import os
import socket
from collections.abc import Mapping
from contextlib import suppress


def notify(*lines: str, environ: Mapping[str, str] = os.environ) -> bool:
    """Send ``lines`` such as ``READY=1``; False if there is nobody to be told."""
    address = environ.get("NOTIFY_SOCKET", "")
    if not address.startswith(("/", "@")):
        return False
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as there, suppress(OSError):
        there.setblocking(False)
        there.sendto("\n".join(lines).encode(), "\0" + address[1:] if address.startswith("@") else address)
        return True
    return False
