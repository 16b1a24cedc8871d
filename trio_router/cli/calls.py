"""``trio-router call`` and ``provide``: remote procedures from and for a shell.

Knows the client library. The rule that keeps it honest: what a caller sends reaches a program on its standard input and
nowhere else, never as an argument or through a shell's eyes, and our password is not in its environment (T62).
"""

from __future__ import annotations

from typing import Any, Final

import click
import trio

from trio_router.cli.connection import Connection, child_environment, connection_options, payload, talk
from trio_router.cli.output import json_option, line, safe_json
from trio_router.client.errors import CallError
from trio_router.client.offers import Handler, Invocation
from trio_router.errors import RemoteProtocolError
from trio_router.log import printable
from trio_router.payload import ABSENT
from trio_router.protocols import strictjson

SHELL: Final = "/bin/sh"


@click.command()
@click.argument("procedure")
@click.argument("data", required=False)
@click.option("--text", "as_text", is_flag=True, help="DATA is text, not JSON.")
@click.option("--timeout", type=click.FloatRange(min=0, min_open=True), help="Seconds to wait for the last result.")
@click.option("--progress", is_flag=True, help="Print partial results too, one a line.")
@connection_options
@json_option
def call(
    *,
    procedure: str,
    data: str | None,
    as_text: bool,
    timeout: float | None,
    progress: bool,
    connection: Connection,
    as_json: bool,  # noqa: ARG001 - results are JSON in any case; errors look at it
) -> None:
    """Call PROCEDURE with DATA (JSON; - reads standard input) and print the result as JSON."""
    value: Any = ABSENT if data is None else payload(data, as_text=as_text)

    async def main() -> None:
        async with connection.open() as client:
            if not progress:
                line(safe_json(await client.call(procedure, value, timeout=timeout)))
                return
            async with client.call_progressive(procedure, value, timeout=timeout) as results:
                async for result in results:
                    line(safe_json(result))

    talk(main)


@click.command()
@click.argument("procedure")
@click.option("--exec", "program", help="Answer with the output of this shell command; it reads the data as JSON.")
@click.option("--echo", is_flag=True, help="Answer with what was sent.")
@click.option("--concurrency", type=click.IntRange(min=1), default=1, show_default=True, help="Calls at a time.")
@connection_options
@json_option
def provide(
    *, procedure: str, program: str | None, echo: bool, concurrency: int, connection: Connection, as_json: bool
) -> None:
    """Answer the calls of PROCEDURE until interrupted, with --exec or --echo.

    The command gets the data as one line of JSON on standard input. What it prints is the result: JSON if it is JSON,
    text otherwise. An exit code other than 0 is an error for the caller.
    """
    if bool(program) == echo:
        raise click.UsageError("choose one of --exec and --echo")

    async def answer(data: Any, call: Invocation) -> Any:
        result = data if echo else await _execute(str(program), data, call)
        note = {"procedure": procedure, "data": data, "result": result}
        line(safe_json(note) if as_json else f"{procedure} {safe_json(data)} -> {safe_json(result)}")
        return result

    handler: Handler = answer

    async def main() -> None:
        async with (
            connection.open(reconnect=True) as client,
            client.provide(procedure, handler, concurrency=concurrency) as offer,
        ):
            click.echo(f"providing {printable(procedure)}", err=True)
            error = await offer.wait_ended()
            if error is not None:
                raise error

    talk(main)


async def _execute(program: str, data: Any, call: Invocation) -> Any:
    environment = {**child_environment(), "TRIO_ROUTER_PROCEDURE": call.procedure}
    done = await trio.run_process(
        [SHELL, "-c", program],
        stdin=(safe_json(data) + "\n").encode(),
        capture_stdout=True,
        check=False,
        env=environment,
    )
    if done.returncode != 0:
        raise CallError({"exit_code": done.returncode})
    text = done.stdout.decode("utf-8", "replace").removesuffix("\n")
    try:
        return strictjson.decode(text)
    except RemoteProtocolError:
        return text
