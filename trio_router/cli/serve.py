"""``trio-router serve``: run the router of a config file until a signal ends it.

Owns the way from the command line to ``app``, and what people see of a start. The rule that keeps it honest: a router whose
config, rules or strategies have a problem does not start, and what is unsafe is said before anybody can connect (T31).
"""

from __future__ import annotations

import sys
from typing import Final, Literal

import attrs
import click
import trio

from trio_router import __version__, log, process
from trio_router.app import Address, Router
from trio_router.cli import output
from trio_router.cli.output import config_option
from trio_router.clock import SystemClock
from trio_router.config.check import read_rules, unsafe
from trio_router.config.load import load
from trio_router.config.schema import Config
from trio_router.inheritance import Inheritance

_FORMS: Final = ("auto", "json", "text")


@click.command()
@config_option
@click.option(
    "--log-format",
    "form",
    type=click.Choice(_FORMS),
    default="auto",
    show_default=True,
    help="auto: text on a terminal, otherwise what the config says.",
)
def serve(*, config_path: str, form: Literal["auto", "json", "text"]) -> None:
    """Run the router. SIGTERM and SIGINT end it in good order, SIGHUP reloads config and rules, SIGUSR2 leaves its place to a new process."""
    terminal = sys.stderr.isatty()

    def reread() -> Config:
        config = load(config_path)
        wanted = ("text" if terminal else config.log.format) if form == "auto" else form
        return attrs.evolve(config, log=attrs.evolve(config.log, format=wanted))

    async def main() -> None:
        inherited = Inheritance.take()
        config = reread()
        log.configure(config.log.level, config.log.format)
        router = Router.load(reread, inherited=inherited)
        async with trio.open_nursery() as nursery:
            address = await nursery.start(process.serve, router)
            if terminal:
                _greet(config, address)

    output.run(main)


def _greet(config: Config, address: Address) -> None:
    """For people; programs read the log, which says the same."""
    click.echo(f"trio_router {__version__} listens on {address.url}", err=True)
    if address.admin:
        click.echo(f"administration on {address.admin}", err=True)
    rules = {space.name: read_rules(space, SystemClock()) for space in config.spaces()}
    for finding in unsafe(config, rules):
        click.echo(f"{click.style('unsafe:', fg='yellow')} {log.printable(str(finding))}", err=True)
