"""Which pages may connect (T01), decided before a single byte of an upgrade is answered."""

from __future__ import annotations

import pytest

from tests.wire.conftest import Stack, upgrade

ALLOWED = ("https://example.com", "http://localhost:8080", "https://xn--bcher-kva.example")


@pytest.mark.threat("T01")
@pytest.mark.parametrize(
    ("origin", "status"),
    [
        ("https://example.com", 101),
        ("http://localhost:8080", 101),
        ("https://xn--bcher-kva.example", 101),
        ("https://example.com:443", 403),
        ("https://example.com:8443", 403),
        ("http://example.com", 403),
        ("http://localhost", 403),
        ("http://localhost:8081", 403),
        ("https://evil-example.com", 403),
        ("https://example.com.evil", 403),
        ("https://example.com.", 403),
        ("https://sub.example.com", 403),
        ("https://example.com/", 403),
        ("https://example.com/path", 403),
        ("https://user@example.com", 403),
        ("https://example.com@evil.test", 403),
        ("https://evil.test#https://example.com", 403),
        ("null", 403),
        ("NULL", 403),
        ("", 403),
        ("*", 403),
        ("HTTPS://EXAMPLE.COM", 403),
        ("https://Example.com", 403),
        ("https://b\xfccher.example", 403),
        ("https://example.com https://evil.test", 403),
        ("https://evil.test, https://example.com", 403),
        ("file://", 403),
    ],
)
async def test_an_origin_is_on_the_list_to_the_letter_or_it_is_not(stack: Stack, origin: str, status: int) -> None:
    async with stack(origins=ALLOWED) as router:
        async with router.connect() as raw:
            await raw.send(upgrade(f"Origin: {origin}"))
            answer, headers = await raw.response()
            assert answer == status
            assert ("sec-websocket-accept" in headers) == (status == 101)
            assert router.refused("origin") == (status == 403)
            greeted = bool(status == 101 and raw.buffer)
            assert (greeted or await raw.more()) == (status == 101)  # a greeting, or the end
        await router.settled(0)


@pytest.mark.threat("T01")
async def test_two_origins_are_none(stack: Stack) -> None:
    async with stack(origins=ALLOWED) as router, router.connect() as raw:
        await raw.send(upgrade("Origin: https://example.com", "Origin: https://example.com"))
        assert (await raw.response())[0] == 403


@pytest.mark.threat("T01")
@pytest.mark.parametrize(("require", "status"), [(False, 101), (True, 403)])
async def test_no_origin_is_no_browser_unless_one_is_required(stack: Stack, require: bool, status: int) -> None:
    async with stack(origins=ALLOWED, require_origin=require) as router, router.connect() as raw:
        await raw.send(upgrade())
        assert (await raw.response())[0] == status


@pytest.mark.threat("T01")
async def test_without_a_list_no_page_may_connect(stack: Stack) -> None:
    async with stack() as router, router.connect() as raw:
        await raw.send(upgrade("Origin: http://127.0.0.1"))
        assert (await raw.response())[0] == 403


async def test_every_page_may_where_that_is_written_down(stack: Stack) -> None:
    async with stack(origins=("*",)) as router, router.connect() as raw:
        await raw.send(upgrade("Origin: https://anything.test"))
        assert (await raw.response())[0] == 101


@pytest.mark.threat("T01")
async def test_an_identity_never_comes_from_a_cookie_by_itself(stack: Stack) -> None:
    """A cookie of the upgrade gives nobody a session: what is forwarded to a strategy still needs a login."""
    async with stack() as router, router.connect() as raw:
        await raw.open("Cookie: session=admin")
        await raw.say(type="subscribe", id="1", channel="news")
        answer = await raw.message()
        assert answer["error"] == "not_logged_in"
        assert router.strategy.requests == []
