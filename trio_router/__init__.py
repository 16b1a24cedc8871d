"""The realtime router that knows who may do what."""

from __future__ import annotations

__version__ = "0.1.0"
