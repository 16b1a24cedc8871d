"""The one way out: what is sent, what is refused, and that nothing sticks from one request to the next."""

from __future__ import annotations

import contextlib
import logging
import ssl
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import trio
import trustme

from trio_router.auth.outbound import HttpOutbound, is_header
from trio_router.auth.services import HttpAnswer, OutboundError
from trio_router.errors import ConfigError
from trio_router.testing.http_service import HttpService, answer, huge, in_turn, raw, redirect, response, serve

LATE = 20.0  # a bound that only a defect reaches


@pytest.fixture
async def outbound() -> AsyncIterator[HttpOutbound]:
    async with HttpOutbound() as found:
        yield found


@pytest.fixture
async def service() -> AsyncIterator[HttpService]:
    async with serve(answer(200, b"alice")) as found:
        yield found


async def post(
    outbound: HttpOutbound,
    url: str,
    *,
    timeout: float = LATE,
    max_body: int = 1024,
    headers: tuple[tuple[str, str], ...] = (),
) -> HttpAnswer:
    return await outbound.request("POST", url, headers=headers, body=b"{}", timeout=timeout, max_body=max_body)


async def failure(outbound: HttpOutbound, url: str, **options: object) -> str:
    with pytest.raises(OutboundError) as caught:
        await post(outbound, url, **options)  # type: ignore[arg-type]
    return caught.value.reason


async def test_a_plain_exchange(outbound: HttpOutbound, service: HttpService) -> None:
    found = await post(outbound, service.url, headers=(("content-type", "application/json"), ("x-id", "é")))
    assert (found.status, found.body) == (200, b"alice")
    assert found.headers["content-type"] == "text/plain"
    (request,) = service.requests
    assert (request.method, request.target, request.body) == ("POST", "/login", b"{}")
    assert request.header("x-id") == "é"
    assert request.header("accept-encoding") == "identity"
    assert {name for name, _ in request.headers} == {
        "host", "user-agent", "accept-encoding", "content-type", "content-length", "x-id"
    }  # fmt: skip


async def test_connections_are_kept(outbound: HttpOutbound, service: HttpService) -> None:
    for _ in range(5):
        await post(outbound, service.url)
    assert service.connections == 1


@pytest.mark.threat("T62")
async def test_a_cookie_set_for_one_user_is_not_sent_with_the_next(
    outbound: HttpOutbound, service: HttpService
) -> None:
    service.behave = answer(200, b"alice", Set_Cookie="session=alice; Path=/")
    await post(outbound, service.url)
    await post(outbound, service.url)
    assert [request.header("cookie") for request in service.requests] == [None, None]


@pytest.mark.threat("T58")
@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
async def test_redirects_are_answers_and_are_not_followed(
    outbound: HttpOutbound, service: HttpService, status: int
) -> None:
    async with serve(answer(200, b"metadata")) as other:
        service.behave = redirect(other.url, status)
        assert (await post(outbound, service.url)).status == status
        assert other.requests == []


@pytest.mark.threat("T58")
async def test_proxies_and_credentials_of_the_environment_are_not_used(
    service: HttpService, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    netrc = tmp_path / "netrc"
    netrc.write_text("machine 127.0.0.1 login alice password secret\n")
    async with serve(answer(200, b"from the proxy")) as proxy:
        for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy", "HTTPS_PROXY", "https_proxy"):
            monkeypatch.setenv(name, f"http://127.0.0.1:{proxy.port}")
        monkeypatch.setenv("NETRC", str(netrc))
        async with HttpOutbound() as outbound:
            assert (await post(outbound, service.url)).body == b"alice"
        assert proxy.connections == 0
    assert service.requests[0].header("authorization") is None


@pytest.mark.threat("T58")
@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("x-token", "a\r\nx-admin: 1"), ("x-token", "a\nb"), ("x-token", "a\rb"), ("x-token", "a\0b"), ("x-token", "\u2028"),
        ("x-token", " a"), ("x-token", "a "), ("x-token", "\x7f"), ("x-token", "日本"), ("x token", "a"), ("", "a"),
        ("x:y", "a"), ("x\r\n", "a"), ("é", "a"), ("Host", "evil"), ("content-length", "0"), ("Transfer-Encoding", "chunked"),
        ("connection", "close"), ("accept-encoding", "gzip"),
    ],
)  # fmt: skip
async def test_a_value_from_outside_cannot_become_a_header_of_its_own(
    outbound: HttpOutbound, service: HttpService, name: str, value: str
) -> None:
    assert not is_header(name, value)
    assert await failure(outbound, service.url, headers=((name, value),)) == "header"
    assert service.connections == 0


@pytest.mark.parametrize(
    "url", ["ftp://127.0.0.1/", "http://", "127.0.0.1", "http://127.0.0.1:99999/", "", "http://a b/"]
)
async def test_what_is_no_url_is_refused(outbound: HttpOutbound, url: str) -> None:
    assert await failure(outbound, url) == "url"


async def test_nobody_listening(outbound: HttpOutbound) -> None:
    async with serve(answer(200)) as service:
        pass
    assert await failure(outbound, service.url) == "connect"


@pytest.mark.threat("T59")
@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "protocol"),
        (b"SSH-2.0-OpenSSH_9.2\r\n", "protocol"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nshort", "protocol"),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n", "protocol"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab", "protocol"),
        (b"HTTP/1.1 200 OK\r\nX: " + b"y" * 300_000, "protocol"),
        (response(200, b"x", {"Content-Encoding": "gzip"}), "encoded"),
        (response(200, b"x", {"Content-Encoding": "identity, br"}), "encoded"),
        (response(200, b"x" * 1025), "too_big"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: " + b"9" * 19 + b"\r\n\r\n", "too_big"),
        (b"HTTP/1.1 200 OK\r\n\r\n" + b"x" * 5_000, "too_big"),
    ],
)
async def test_answers_that_are_none(outbound: HttpOutbound, service: HttpService, data: bytes, reason: str) -> None:
    service.behave = raw(data, close=True)
    assert await failure(outbound, service.url) == reason
    service.behave = answer(200, b"alice")
    assert (await post(outbound, service.url)).body == b"alice"


async def test_the_cap_is_exact_and_identity_is_no_encoding(outbound: HttpOutbound, service: HttpService) -> None:
    service.behave = raw(response(200, b"x" * 1024, {"Content-Encoding": "identity"}))
    assert len((await post(outbound, service.url)).body) == 1024


async def test_a_refused_body_does_not_reach_the_next_exchange(outbound: HttpOutbound, service: HttpService) -> None:
    service.behave = in_turn(huge(100_000), answer(200, b"bob"))
    assert await failure(outbound, service.url) == "too_big"
    assert (await post(outbound, service.url)).body == b"bob"


async def test_being_cancelled_gives_the_connection_back(service: HttpService) -> None:
    async def never(*_: object) -> None:
        await trio.sleep_forever()

    service.behave = never
    async with HttpOutbound(connections=2) as outbound:
        for _ in range(6):
            with trio.move_on_after(0.02):
                await post(outbound, service.url)
        service.behave = answer(200, b"alice")
        assert (await post(outbound, service.url)).body == b"alice"


@pytest.mark.threat("T62")
async def test_the_http_library_does_not_log_urls_or_headers(
    outbound: HttpOutbound, service: HttpService, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    service.behave = answer(200, b"alice", X_Key="canary")
    await post(outbound, f"{service.url}?key=canary", headers=(("x-key", "canary"),))
    assert "canary" not in caplog.text


@pytest.mark.threat("T58")
async def test_certificates_are_checked_whatever_the_environment_says(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    authority = trustme.CA()
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    stranger = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority.issue_cert("example.org").configure_cert(stranger)
    ca_file = tmp_path / "ca.pem"
    authority.cert_pem.write_to_path(ca_file)
    monkeypatch.setenv("SSL_CERT_FILE", str(ca_file))
    service = HttpService(answer(200, b"alice"), 0)
    async with trio.open_nursery() as nursery:
        urls = []
        for number in (context, stranger):
            listeners = await trio.open_ssl_over_tcp_listeners(0, number, host="127.0.0.1")

            async def handle(stream: trio.SSLStream[trio.SocketStream]) -> None:
                with contextlib.suppress(trio.BrokenResourceError):
                    await service.handle(stream)

            nursery.start_soon(trio.serve_listeners, handle, listeners)
            urls.append(f"https://127.0.0.1:{listeners[0].transport_listener.socket.getsockname()[1]}/")
        async with HttpOutbound(ca_file=ca_file) as trusting, HttpOutbound() as strict:
            assert (await post(trusting, urls[0])).body == b"alice"
            assert await failure(trusting, urls[1]) == "tls"
            assert await failure(strict, urls[0]) == "tls"
        nursery.cancel_scope.cancel()


def test_a_file_without_certificates_is_a_config_error(tmp_path: Path) -> None:
    for name, content in (("empty.pem", ""), ("junk.pem", "not a certificate")):
        path = tmp_path / name
        path.write_text(content)
        with pytest.raises(ConfigError, match=name):
            HttpOutbound(ca_file=path)
    with pytest.raises(ConfigError, match=r"missing\.pem"):
        HttpOutbound(ca_file=tmp_path / "missing.pem")
