"""What setup.cfg cannot say: which modules are compiled when TRIO_ROUTER_COMPILE=1 is in the environment.

They are those that every message passes through. mypyc makes C of the very same text, so there is one source and one set of
tests, run on both; without a C compiler, or without the variable, they are plain Python like all others.
"""

from __future__ import annotations

import configparser
import os
import sys
import tempfile
from pathlib import Path
from typing import Any, Final

from setuptools import Extension, setup

COMPILED: Final = (
    "trio_router/metrics.py",
    "trio_router/payload.py",
    "trio_router/permissions/access.py",
    "trio_router/permissions/ruleset.py",
    "trio_router/protocols/deepstream/binary.py",
    "trio_router/protocols/deepstream/quick.py",
    "trio_router/protocols/frames.py",
    "trio_router/protocols/native/codec.py",
    "trio_router/protocols/native/quick.py",
    "trio_router/protocols/strictjson.py",
    "trio_router/routing/audience.py",
    "trio_router/routing/call.py",
    "trio_router/routing/callids.py",
    "trio_router/routing/deadlines.py",
    "trio_router/routing/door.py",
    "trio_router/routing/events.py",
    "trio_router/routing/providers.py",
    "trio_router/routing/rights.py",
    "trio_router/routing/rpc.py",
    "trio_router/routing/session.py",
    "trio_router/routing/subscriptions.py",
    "trio_router/routing/verbs/calls.py",
    "trio_router/routing/verbs/events.py",
    "trio_router/routing/wildcards.py",
    "trio_router/session/connection.py",
    "trio_router/session/deepstream/calls.py",
    "trio_router/session/deepstream/connection.py",
    "trio_router/session/deepstream/events.py",
    "trio_router/session/deepstream/tokens.py",
    "trio_router/session/deepstream/voice.py",
    "trio_router/session/deepstream/wire.py",
    "trio_router/session/timers.py",
    "trio_router/session/together.py",
    "trio_router/session/wire.py",
    "trio_router/transport/cork.py",
    "trio_router/transport/fastlink.py",
    "trio_router/transport/group.py",
    "trio_router/transport/guard.py",
    "trio_router/transport/intake.py",
    "trio_router/transport/masking.py",
    "trio_router/transport/outbox.py",
    "trio_router/transport/pipe.py",
    "trio_router/transport/pump.py",
)
COMPILER: Final = ["mypy >= 2.3", "types-PyYAML", "types-protobuf >= 6", "types-python-jose"]


def asked_for() -> bool:
    """Whether the environment wants it."""
    return os.environ.get("TRIO_ROUTER_COMPILE", "") not in {"", "0"}


def extensions(folder: str) -> list[Extension]:
    """Nothing while only the requirements are asked for: the compiler is one of them."""
    if {"egg_info", "dist_info"} & set(sys.argv):
        return []
    from mypyc.build import mypycify

    made: list[Extension] = mypycify(
        [*COMPILED], opt_level="3", debug_level="0", group_name="trio_router", target_dir=folder
    )
    return made


def compiled(folder: str) -> dict[str, Any]:
    """What ``setup`` is told: to build in ``folder``, where nothing lies from another time.

    The compiler needs the types of what the modules import, so it is given all that the router needs.
    """
    config = configparser.ConfigParser()
    config.read(Path(__file__).with_name("setup.cfg"))
    needed = [line for line in config["options"]["install_requires"].splitlines() if line and not line.startswith("#")]
    return {
        "ext_modules": extensions(folder),
        "setup_requires": [*COMPILER, *needed],
        "options": {"build": {"build_base": folder}},
    }


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as folder:
        setup(**(compiled(folder) if asked_for() else {}))
