"""``python -m trio_router`` is the command ``trio-router``."""

from __future__ import annotations

from trio_router.cli.main import main

main()
