"""Starts the application and the router, on the ports of config.yml, until Ctrl-C. Every start has new secrets and a new password."""

from __future__ import annotations

import secrets
import signal
import sys
from collections.abc import Iterator
from pathlib import Path

import trio

from trio_router.testing.process import RouterFailed, ServiceFailed, router_process, service_process

HERE = Path(__file__).parent


def new_secrets() -> dict[str, str]:
    """What the application and the router share, and nobody else knows."""
    names = ("CHAT_JWT_KEY", "CHAT_WEBHOOK_SECRET", "CHAT_ADMIN_TOKEN")
    return {name: secrets.token_urlsafe(32) for name in names} | {"CHAT_PASSWORD": secrets.token_urlsafe(9)}


def reasons(failed: BaseException) -> Iterator[str]:
    """What the errors of a group say."""
    if not isinstance(failed, BaseExceptionGroup):
        yield str(failed)
        return
    for error in failed.exceptions:
        yield from reasons(error)


async def main() -> None:
    if not (HERE / "dist" / "chat.js").exists():
        sys.exit("the page is not built yet: run 'npm ci && npm run build' in this folder")
    environ = new_secrets() | {"PORT": "5000", "CHAT_ADMIN_URL": "http://127.0.0.1:7001"}
    with trio.open_signal_receiver(signal.SIGINT, signal.SIGTERM) as signals:
        async with (
            service_process(HERE / "app.py", environ),
            router_process(HERE / "config.yml", environ=environ) as router,
        ):
            print(f"router listening on {router.url}", flush=True)
            print(f"wolfram and chris log in with the password {environ['CHAT_PASSWORD']}", flush=True)
            print("open http://localhost:5000/ in a browser; Ctrl-C ends both", flush=True)
            await anext(aiter(signals))
    print("router stopped", flush=True)


if __name__ == "__main__":
    try:
        trio.run(main)
    except* KeyboardInterrupt:  # a second Ctrl-C
        pass
    except* (RouterFailed, ServiceFailed) as failed:
        sys.exit("\n".join(reasons(failed)))
