"""The pages on deepstream clients: their configs load, and what they say of messages, names and codes is what the router does."""

from __future__ import annotations

import re
from pathlib import Path

import attrs
import pytest
import yaml

from trio_router.config.load import load_text
from trio_router.names import ROUTER_PROCEDURES
from trio_router.protocols import codes
from trio_router.protocols.deepstream.words import (
    AuthAction,
    ConnectionAction,
    EventAction,
    ParserAction,
    PresenceAction,
    RecordAction,
    RpcAction,
)
from trio_router.session.deepstream.options import DeepstreamOptions
from trio_router.session.deepstream.quarantine import unavailable_data
from trio_router.session.deepstream.tokens import MAX_TOKENS, SESSION, TRUST_TOKEN

DOCS = Path(__file__).parents[2] / "docs"
REFERENCE = (DOCS / "reference" / "deepstream.md").read_text()
HOWTO = (DOCS / "howto" / "use-deepstream-clients.md").read_text()
BLOCKS = [
    pytest.param(text, id=f"{name}-{number}")
    for name, page in (("reference", REFERENCE), ("howto", HOWTO))
    for number, text in enumerate(re.findall(r"```yaml\n(.*?)```", page, re.DOTALL))
]


@pytest.mark.parametrize("text", BLOCKS)
def test_the_configs_load(text: str, tmp_path: Path) -> None:
    defaults = {"rules": "rules.yml", "login": [{"strategy": "open"}]}
    config = load_text(yaml.safe_dump({**defaults, **yaml.safe_load(text)}), base=tmp_path, environ={})
    assert config.deepstream is not None or "deepstream" not in text


def test_every_word_in_capitals_is_one_of_the_protocols() -> None:
    words = {
        action.name
        for actions in (
            ParserAction,
            ConnectionAction,
            AuthAction,
            EventAction,
            RpcAction,
            PresenceAction,
            RecordAction,
        )
        for action in actions
    }
    for page in (REFERENCE, HOWTO):
        named = set(re.findall(r"`([A-Z_]{4,})`", page))
        assert named
        assert named <= words | {"NAME"}


def test_every_slug_in_an_example_exists() -> None:
    slugs = {error.slug for error in codes.ERRORS.values()}
    found = set(re.findall(r"[\"']?error[\"']?: [\"']([a-z_]+)[\"']", REFERENCE + HOWTO))
    assert {"denied", "invalid_name", "not_supported", "login_unavailable"} <= found <= slugs


def test_what_an_unavailable_login_is_told_is_there_word_for_word() -> None:
    (shown,) = re.findall(r"^(\{\"error\": \"login_unavailable\".*\})$", REFERENCE, re.MULTILINE)
    assert yaml.safe_load(shown) == unavailable_data()


def test_the_routers_procedures_and_bounds_are_the_true_ones() -> None:
    assert TRUST_TOKEN in REFERENCE
    assert SESSION in REFERENCE
    assert f"`{ROUTER_PROCEDURES}`" in REFERENCE
    assert f"{MAX_TOKENS:,} names" in REFERENCE


def test_options_that_are_named_exist() -> None:
    options = {field.name for field in attrs.fields(DeepstreamOptions)} | {"paths", "json_paths"}
    known = options | {
        "login_timeout",
        "login_message_size",
        "message_size",
        "json_depth",
        "invalid_messages",
        "drain_window",
    }
    named = set(
        re.findall(
            r"`(?:limits\.)?((?:auth|heartbeat|rpc|requestor|listen|json|login|message|invalid|drain)_[a-z_]+)[:`]",
            REFERENCE + HOWTO,
        )
    )
    assert {"auth_timeout", "auth_attempts", "heartbeat_interval", "requestor_name"} <= named <= known
