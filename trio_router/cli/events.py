"""``trio-router publish``, ``subscribe`` and ``listen``: events from and for a shell.

Knows the client library. The rule that keeps it honest: one event is one line, whatever it holds, so that ``head``,
``grep`` and ``jq`` work.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import click
import trio

from trio_router.cli.connection import Connection, connection_options, payload, talk
from trio_router.cli.output import Failure, json_option, line, safe_json
from trio_router.client.errors import Lagged
from trio_router.client.values import Event
from trio_router.log import printable
from trio_router.payload import ABSENT


@click.command()
@click.argument("channel")
@click.argument("data", required=False)
@click.option("--text", "as_text", is_flag=True, help="DATA is text, not JSON.")
@connection_options
@json_option
def publish(*, channel: str, data: str | None, as_text: bool, connection: Connection, as_json: bool) -> None:
    """Publish DATA (JSON; - reads standard input) to CHANNEL, and wait until the router has accepted it."""
    value: Any = ABSENT if data is None else payload(data, as_text=as_text)

    async def main() -> None:
        async with connection.open() as client:
            await client.publish(channel, value)

    talk(main)
    if as_json:
        line(safe_json({"channel": channel, "published": True}))


@click.command()
@click.argument("channels", nargs=-1, required=True)
@click.option("--count", type=click.IntRange(min=1), help="End after this many events.")
@click.option("--timeout", type=click.FloatRange(min=0, min_open=True), help="End after this many seconds.")
@connection_options
@json_option
def subscribe(
    *, channels: Sequence[str], count: int | None, timeout: float | None, connection: Connection, as_json: bool
) -> None:
    """Print the events of CHANNELS, names or patterns with *, one a line, until interrupted.

    With --count, exit with 1 if --timeout passes first.
    """
    left = count

    async def main() -> None:
        nonlocal left
        done = trio.Event()

        async def one(channel: str, *, task_status: trio.TaskStatus[None]) -> None:
            nonlocal left
            async with client.subscribe(channel) as events:
                task_status.started()
                while True:
                    try:
                        event = await anext(events)
                    except Lagged as error:
                        click.echo(f"trio-router: {error}", err=True)
                        continue
                    except StopAsyncIteration:
                        return
                    line(_shown(event, as_json=as_json))
                    left = None if left is None else left - 1
                    if left == 0:
                        done.set()
                        await trio.sleep_forever()

        async with connection.open(reconnect=True) as client, trio.open_nursery() as nursery:
            for channel in dict.fromkeys(channels):
                await nursery.start(one, channel)
            click.echo(f"subscribed to {', '.join(map(printable, channels))}", err=True)
            with trio.move_on_after(timeout if timeout is not None else float("inf")):
                await done.wait()
            nursery.cancel_scope.cancel()

    talk(main)
    if left:
        raise Failure(f"{left} of {count} events did not come in time", code="timeout")


@click.command()
@click.argument("pattern")
@click.argument("data", required=False)
@click.option("--text", "as_text", is_flag=True, help="DATA is text, not JSON.")
@click.option("--every", type=click.FloatRange(min=0, min_open=True), help="Publish DATA again after so many seconds.")
@connection_options
@json_option
def listen(
    *,
    pattern: str,
    data: str | None,
    as_text: bool,
    every: float | None,
    connection: Connection,
    as_json: bool,
) -> None:
    """Provide the channels that PATTERN matches, a regular expression, while somebody has them subscribed.

    Prints each channel as it gets its first subscriber (+) and loses the last (-), until interrupted. DATA (JSON) is
    published to it at once and, with --every, again and again.
    """
    value: Any = ABSENT if data is None else payload(data, as_text=as_text)

    def show(channel: str, *, is_provided: bool) -> None:
        fields = {"channel": channel, "provided": is_provided}
        line(safe_json(fields) if as_json else f"{'+' if is_provided else '-'} {channel}")

    async def main() -> None:
        async with connection.open(reconnect=True) as client:

            async def provide(channel: str) -> None:
                show(channel, is_provided=True)
                try:
                    while data is not None:
                        await client.publish(channel, value)
                        await trio.sleep(every if every is not None else float("inf"))
                    await trio.sleep_forever()
                finally:
                    show(channel, is_provided=False)

            async with client.listen(pattern, provide) as listening:
                click.echo(f"listening with {printable(pattern)}", err=True)
                error = await listening.wait_ended()
                if error is not None:
                    raise error

    talk(main)


def _shown(event: Event, *, as_json: bool) -> str:
    if not as_json:
        return f"{event.channel} {safe_json(event.data)}" if event.has_data else event.channel
    fields: dict[str, Any] = {"channel": event.channel}
    if event.has_data:
        fields["data"] = event.data
    if event.publisher:
        fields["publisher"] = {"user": event.publisher.user, "session": event.publisher.session}
    return safe_json(fields)
