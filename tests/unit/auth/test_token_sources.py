from __future__ import annotations

from typing import Any

import pytest

from trio_router.auth.strategy import LoginRequest
from trio_router.auth.token_sources import is_url, parse_source


def found(source: str, **fields: Any) -> list[object]:
    return parse_source(source)(LoginRequest("default", "s", "127.0.0.1", **fields))


@pytest.mark.parametrize(
    ("source", "auth", "tokens"),
    [
        ("login", {"token": "t"}, ["t"]),
        ("login", {"token": None}, [None]),
        ("login", {"token": ["t"]}, [["t"]]),
        ("login", {"jwt": "t"}, []),
        ("login:jwt", {"jwt": "t", "token": "u"}, ["t"]),
        ("login", {}, []),
        ("login", None, []),
    ],
)
def test_login_message(source: str, auth: Any, tokens: list[object]) -> None:
    assert found(source, auth=auth) == tokens


@pytest.mark.parametrize(
    ("values", "tokens"),
    [
        (["Bearer t"], ["t"]),
        (["bearer  t "], ["t"]),
        (["BEARER t"], ["t"]),
        (["Bearer"], [""]),
        (["Basic YTpi"], []),
        (["Bearert"], []),
        (["Bearer t", "Bearer u"], ["t", "u"]),
        (["Basic YTpi", "Bearer u"], ["u"]),
        ([], []),
    ],
)
def test_authorization(values: list[str], tokens: list[object]) -> None:
    headers = (*(("authorization", value) for value in values), ("x-authorization", "Bearer no"))
    assert found("authorization", headers=headers) == tokens


@pytest.mark.parametrize(
    ("values", "tokens"),
    [
        (["session=t"], ["t"]),
        (["a=b; session=t; c=d"], ["t"]),
        (["a=b;session=t"], ["t"]),
        (["session=t; session=u"], ["t", "u"]),
        (["session=t", "session=u"], ["t", "u"]),
        (["session=t=u"], ["t=u"]),
        (['session="t"'], ['"t"']),
        (["xsession=t; sessionx=t; Session=t; session"], []),
        ([], []),
    ],
)
def test_cookie(values: list[str], tokens: list[object]) -> None:
    assert found("cookie:session", headers=tuple(("cookie", value) for value in values)) == tokens


def test_subprotocol() -> None:
    offered = ("trio-router.v1+json", "trio-router.jwt.a.b.c")
    assert found("subprotocol", subprotocols=offered) == ["a.b.c"]
    assert found("subprotocol:bearer.", subprotocols=("bearer.a.b.c", "x")) == ["a.b.c"]
    assert found("subprotocol", subprotocols=("trio-router.jwt.a", "trio-router.jwt.b")) == ["a", "b"]
    assert found("subprotocol", subprotocols=("x.trio-router.jwt.a",)) == []


@pytest.mark.parametrize(
    ("query", "tokens"),
    [
        ("access_token=t", ["t"]),
        ("a=b&access_token=t&c", ["t"]),
        ("access_token=t&access_token=u", ["t", "u"]),
        ("access_token=%74", ["t"]),
        ("access_token=", [""]),
        ("Access_Token=t", []),
        ("", []),
        ("&".join(["a=b"] * 200) + "&access_token=t", []),
    ],
)
def test_query(query: str, tokens: list[object]) -> None:
    assert found("query:access_token", query=query) == tokens


@pytest.mark.parametrize(
    "text",
    [
        "",
        "header",
        "login:",
        "cookie",
        "cookie:",
        "cookie:a b",
        "cookie:a=b",
        "query",
        "query:",
        "authorization:Basic",
        "subprotocol:",
        "subprotocol:a b",
        "subprotocol:a,b",
        "Login",
        " login",
    ],
)
def test_what_names_no_place_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="'"):
        parse_source(text)


def test_the_url_is_known_as_such() -> None:
    assert is_url("query:token")
    assert not any(map(is_url, ["login:query", "authorization", "cookie:query", "subprotocol"]))
