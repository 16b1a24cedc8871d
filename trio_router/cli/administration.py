"""How commands ask a running router on its administration side.

Owns where it is and the token for it: from the options, else from the config. The rule that keeps it honest: the token comes
from a private file or the config, never from an argument, goes to that one address and into no message (T62).
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Final

import attrs
import click

from trio_router.auth.outbound import HttpOutbound
from trio_router.auth.services import HttpAnswer, OutboundError
from trio_router.cli import output
from trio_router.cli.output import UNAVAILABLE, Failure, problems_failure
from trio_router.config.load import load
from trio_router.config.references import ReferenceFailed, read_private
from trio_router.errors import ConfigError
from trio_router.secret import Secret

TIMEOUT: Final = 60.0
MAX_ANSWER: Final = 64 * 1024 * 1024

url_option = click.option("--url", help="The router's administration URL; that of the config by default.")
token_option = click.option(
    "--token-file",
    type=click.Path(dir_okay=False, path_type=Path),
    help="A file with the administration token; that of the config by default.",
)


@attrs.frozen
class Administration:
    """Where to ask. ``url`` has no path."""

    url: str
    token: Secret

    def ask(self, method: str, path: str, body: Any = None) -> Any:
        """The JSON of the answer.

        Raises:
            Failure: there is none, or it is an error.
        """
        sent = b"" if body is None else json.dumps(body).encode()
        headers = [("authorization", f"Bearer {self.token.reveal()}")]
        if body is not None:
            headers.append(("content-type", "application/json"))

        async def main() -> HttpAnswer:
            async with HttpOutbound() as outbound:
                return await outbound.request(
                    method,
                    self.url + path,
                    headers=tuple(headers),
                    body=sent,
                    timeout=TIMEOUT,
                    max_body=MAX_ANSWER,
                )

        try:
            answer = output.run(main)
        except OutboundError as error:
            message = f"the router's administration side does not answer ({error})"
            raise Failure(message, code="unavailable", exit_code=UNAVAILABLE) from None
        try:
            made = json.loads(answer.body)
        except ValueError:
            made = None
        if answer.status != 200:
            told = made.get("error", {}) if isinstance(made, dict) else {}
            text = told.get("text", f"the answer is HTTP {answer.status}")
            detail = told.get("detail")
            shown = f"{text}: {detail}" if isinstance(detail, str) and detail else text
            raise Failure(shown, code=told.get("code", "refused"), detail=detail)
        return made


def administration(config_path: str, url: str | None, token_file: Path | None) -> Administration:
    """Where the options say, or the config.

    Raises:
        Failure: neither does, or a file cannot be used.
    """
    token = None
    if token_file is not None:
        try:
            token = Secret(read_private(token_file, str(token_file)).strip())
        except ReferenceFailed as error:
            raise Failure(str(error), code="token_file") from None
    if url is not None and token is not None:
        return Administration(url.rstrip("/"), token)
    try:
        admin = load(config_path).admin
    except ConfigError as error:
        raise problems_failure(error) from None
    token = token or (admin.token if admin else None)
    if url is None and admin is not None and admin.port:
        host = f"[{admin.host}]" if ":" in admin.host else admin.host
        url = f"http://{host}:{admin.port}"
    if url is None or token is None:
        raise click.UsageError("the config has no administration address and token: give --url and --token-file")
    return Administration(url.rstrip("/"), token)
