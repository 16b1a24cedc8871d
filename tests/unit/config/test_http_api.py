"""Which paths the HTTP API may have."""

from __future__ import annotations

from pathlib import Path

import pytest

from trio_router.config.load import load_text
from trio_router.config.schema import Config
from trio_router.errors import ConfigError

BASE = "rules: r.yml\nlogin: [{strategy: open}]\n"


def load(text: str) -> Config:
    return load_text(BASE + text, base=Path(), environ={})


def test_paths_of_further_apps_stand_behind_their_own() -> None:
    config = load(
        "listen: {path: /deepstream}\nhttp_api: {path: /api, auth_path: null}\n"
        "apps: {a: {rules: r.yml, login: [{strategy: open}]}, b: {rules: r.yml, login: [{strategy: open}], path: /x/y/}}"
    )
    assert config.http_api is not None
    assert [config.http_api.paths(space) for space in config.spaces()] == [
        ("/api", None),
        ("/a/api", None),
        ("/x/y/api", None),
    ]


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("http_api: {path: /health}", "http_api.path: /health is a path of the health check too"),
        ("http_api: {path: /v1/keys}", "http_api.path: /v1/keys belongs to the REST interface"),
        ("http_api: {auth_path: /api}", "http_api.auth_path: /api is a path of the HTTP API of the app 'default' too"),
        ("http_api: {path: '/{x}'}", "http_api.path: /{x} cannot be a path of the HTTP API"),
        ("http_api: {path: /}", "http_api.path: / cannot be a path of the HTTP API"),
        ("http_api: {path: api}", "must be the path of a URL"),
        ("http_api: {messages: 0}", "must be 1 or more"),
        ("http_api: {request_timeout: 0}", "must be greater than 0"),
        ("http_api: {enabled: true}", "unknown key 'enabled'"),
        (
            "listen: {path: /deepstream}\nhttp_api: {}\napps: {a: {rules: r.yml, login: [{strategy: open}], path: /}}",
            "apps.a.path: /api is a path of the HTTP API of the app 'default' too",
        ),
    ],
)
def test_a_path_that_is_something_else_or_cannot_be_is_named(text: str, problem: str) -> None:
    with pytest.raises(ConfigError) as refused:
        load(text)
    assert problem in str(refused.value)
