"""A router as what a process is for: signals, the service manager, and the garbage collector.

Knows nothing of what a router does. The rule that keeps it honest: a signal asks for what :class:`~trio_router.app.Router` offers to
everybody, and nothing that goes wrong with it ends the process.
"""

from __future__ import annotations

import os
import signal

import trio

from trio_router import ebb, log
from trio_router.app import Address, Router
from trio_router.handover import HandoverFailed
from trio_router.notify import notify


async def serve(router: Router, *, task_status: trio.TaskStatus[Address] = trio.TASK_STATUS_IGNORED) -> None:
    """Run ``router`` as what this process is for.

    SIGTERM and SIGINT drain it (again: at once), SIGHUP reloads it, SIGUSR2 leaves its place to a new process of the same command. What the process has loaded so far is out of
    the garbage collector's sight from then on.
    """
    ebb.keep()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(_obey_signals, router, nursery)
        address: Address = await nursery.start(router.run)
        notify("READY=1", f"MAINPID={os.getpid()}")
        task_status.started(address)
        await router.ended.wait()
        nursery.cancel_scope.cancel()


async def _obey_signals(router: Router, nursery: trio.Nursery) -> None:
    asked = False
    numbers = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGUSR2)
    with trio.open_signal_receiver(*numbers) as signals:
        async for number in signals:
            if number == signal.SIGUSR2:
                nursery.start_soon(_hand_over, router)
            elif number == signal.SIGHUP:
                try:
                    await router.reload()
                except Exception:  # noqa: BLE001, S112 - it is logged by reload, and the old state goes on
                    continue
            elif asked:
                nursery.cancel_scope.cancel()
            else:
                asked = True
                notify("STOPPING=1")
                router.stop()


async def _hand_over(router: Router) -> None:
    try:
        await router.hand_over()
    except HandoverFailed as error:
        log.get("router").error("handover_failed", problem=str(error))
