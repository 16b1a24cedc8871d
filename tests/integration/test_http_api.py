"""The HTTP API of a whole router: what a batch does, in which order, who may send one, and what goes wrong how."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import attrs
import httpx
import pytest
import trio
import trio.testing

from tests.integration.conftest import USERS_CONFIG, Site, Start
from trio_router.client import CallError, connect
from trio_router.testing.http_service import HttpService, ServiceRequest, answer_json, hang, serve

CONFIG = USERS_CONFIG + "http_api: {}\n"
RULES = """
event:
  "room/$room":
    subscribe: "user.isAuthenticated"
    publish: "user.isAuthenticated && data !== 'no'"
  "broken/$x":
    publish: "data.a.b.c === 1"
rpc:
  "$name":
    provide: "user.isAuthenticated"
    request: "user.isAuthenticated && name !== 'secret'"
presence:
  "$user":
    allow: "$user !== 'boss'"
"""
PATIENCE = 20.0


@attrs.frozen
class Api:
    """The HTTP API of a running router, asked as ``user``."""

    site: Site
    user: str = "egon"

    @property
    def url(self) -> str:
        return self.site.address.url.replace("ws://", "http://").rstrip("/")

    async def post(self, path: str, body: Any, **headers: str) -> httpx.Response:
        content = body if isinstance(body, bytes) else json.dumps(body).encode()
        async with httpx.AsyncClient(trust_env=False, timeout=PATIENCE) as client:
            return await client.post(
                f"{self.url}{path}", content=content, headers={"content-type": "application/json", **headers}
            )

    async def send(self, *messages: dict[str, Any]) -> dict[str, Any]:
        """The answer to a batch."""
        response = await self.post("/api", {"authData": self.site.login(self.user), "body": messages})
        assert response.status_code == 200, response.text
        return dict(response.json())

    async def one(self, **message: Any) -> dict[str, Any]:
        """The answer to one message."""
        (found,) = (await self.send(message))["body"]
        return dict(found)


def emit(channel: str, data: Any) -> dict[str, Any]:
    return {"topic": "event", "action": "emit", "eventName": channel, "data": data}


def make(procedure: str, data: Any = None) -> dict[str, Any]:
    return {"topic": "rpc", "action": "make", "rpcName": procedure, "data": data}


QUERY = {"topic": "presence", "action": "query"}


@pytest.fixture
def api(start: Start) -> Any:
    @asynccontextmanager
    async def running(config: str = CONFIG, rules: str = RULES, **options: Any) -> AsyncIterator[Api]:
        async with start(config, rules, **options) as site:
            yield Api(site)

    return running


# ---- what a batch does ------------------------------------------------------------------------------------------


async def test_a_batch_is_carried_out_in_its_order_and_answered_in_it(api: Any) -> None:
    async with api() as http, connect(http.site.address.url, http.site.login("rosa")) as rosa:
        seen: list[Any] = []

        async def add(data: Any, _: Any) -> Any:
            seen.append(data)
            return sum(data)

        async with rosa.subscribe("room/1") as events, rosa.provide("add", add):
            batch = [emit("room/1", n) for n in range(40)]
            batch[10:10] = [make("add", [1, 2]), QUERY]
            answer = await http.send(*batch)
            with trio.fail_after(PATIENCE):
                assert [(await anext(events)).data for _ in range(40)] == list(range(40))
    assert answer["result"] == "SUCCESS"
    assert answer["body"].pop(11) == {"success": True, "users": ["rosa"]}
    assert answer["body"].pop(10) == {"success": True, "data": 3}
    assert answer["body"] == [{"success": True}] * 40
    assert seen == [[1, 2]]


async def test_the_answer_is_json_and_two_line_ends(api: Any) -> None:
    async with api() as http:
        response = await http.post("/api", {"authData": http.site.login("egon"), "body": [QUERY]})
    assert response.content == b'{"result":"SUCCESS","body":[{"success":true,"users":[]}]}\r\n\r\n'
    assert response.headers["content-type"] == "application/json"
    assert response.headers["cache-control"] == "no-store"


async def test_calls_of_one_batch_wait_for_their_results_together(api: Any) -> None:
    async with api() as http, connect(http.site.address.url, http.site.login("rosa")) as rosa:
        second = trio.Event()

        async def first(_: Any, __: Any) -> Any:
            await second.wait()
            return "first"

        async def last(_: Any, __: Any) -> Any:
            second.set()
            return "last"

        async with rosa.provide("first", first), rosa.provide("last", last):
            answer = await http.send(make("first"), make("last"))
    assert [found["data"] for found in answer["body"]] == ["first", "last"]


async def test_presence_by_name_and_of_everybody(api: Any) -> None:
    async with (
        api() as http,
        connect(http.site.address.url, http.site.login("rosa")),
        connect(http.site.address.url, http.site.login("boss")),
        connect(http.site.address.url, http.site.login("egon")),
    ):
        assert await http.one(**QUERY) == {"success": True, "users": ["rosa"]}
        named = await http.one(**QUERY, names=["rosa", "nobody", "boss"])
        assert named == {"success": True, "users": {"rosa": True, "nobody": False}, "denied": ["boss"]}


async def test_a_request_is_never_seen_in_presence(api: Any) -> None:
    async with (
        api() as http,
        connect(http.site.address.url, http.site.login("rosa")) as rosa,
        rosa.watch_presence() as changes,
    ):
        await http.send(emit("room/1", 1), make("nothing"))
        async with connect(http.site.address.url, http.site.login("egon")):
            with trio.fail_after(PATIENCE):
                change = await anext(changes)
            assert (await rosa.presence(["egon"])).users == {"egon": 1}
    assert (change.user, change.change, change.sessions) == ("egon", "joined", 1)


# ---- what is refused --------------------------------------------------------------------------------------------


@pytest.mark.threat("T35")
async def test_every_message_passes_the_door_once(api: Any) -> None:
    async with api() as http:
        before = await decisions(http)
        await http.send(
            emit("room/1", 1), emit("room/1", "no"), make("secret"), make("add"), {**QUERY, "names": ["a", "boss"]}
        )
        after = await decisions(http)
    changed = {key: after[key] - before.get(key, 0) for key in after if after[key] != before.get(key, 0)}
    assert changed == {
        ("event.publish", "allowed"): 1,
        ("event.publish", "rule_false"): 1,
        ("rpc.request", "allowed"): 1,
        ("rpc.request", "rule_false"): 1,
        ("presence.allow", "allowed"): 1,
        ("presence.allow", "rule_false"): 1,
    }


async def decisions(http: Api) -> dict[tuple[str, str], float]:
    text = (await http.site.admin("GET", "/metrics")).text
    found = {}
    for line in text.splitlines():
        if line.startswith("trio_router_decisions_total{"):
            action, reason = line.split('"')[1::2]
            found[action, reason] = float(line.rpartition(" ")[2])
    return found


async def test_a_denial_has_deepstreams_words_and_an_id(api: Any) -> None:
    async with api() as http:
        answer = await http.send(emit("room/1", "no"), make("secret"), {**QUERY, "names": ["boss"]}, emit("room/1", 1))
        numbers = [found.pop("decision", None) for found in answer["body"]]
        why, _, seen = [(await http.site.admin("GET", f"/admin/decisions/{number}")).json() for number in numbers[:3]]
    assert answer["result"] == "PARTIAL_SUCCESS"
    assert answer["body"] == [
        {
            "success": False,
            "error": "Message denied. Action 'emit' is not permitted.",
            "errorTopic": "event",
            "errorEvent": "MESSAGE_DENIED",
            "errorAction": "emit",
        },
        {
            "success": False,
            "error": "Message denied. Action 'make' is not permitted.",
            "errorTopic": "rpc",
            "errorEvent": 107,
            "errorAction": "make",
        },
        {
            "success": False,
            "error": "Message denied. Action 'query' is not permitted.",
            "errorTopic": "presence",
            "errorEvent": 102,
            "errorAction": "query",
        },
        {"success": True},
    ]
    assert (why["name"], why["reason"]) == ("room/1", "rule_false")
    assert (seen["name"], seen["reason"]) == ("boss", "rule_false")


async def test_a_rule_that_fails_a_name_that_is_none_and_a_closed_channel(api: Any) -> None:
    async with api() as http:
        answer = await http.send(emit("broken/1", 1), emit("room//1", 1), emit("pvt:x", 1), make("a b"))
        query = await http.one(**QUERY, names=["a b"])
    events = [(found["errorTopic"], found["errorEvent"]) for found in answer["body"]]
    assert answer["result"] == "FAILURE"
    assert events == [("event", 103), ("event", 105), ("event", "MESSAGE_DENIED"), ("rpc", 108)]
    assert answer["body"][1]["errorParams"] == "channel: has an empty segment"
    assert (query["errorTopic"], query["errorEvent"]) == ("presence", 100)


async def test_how_calls_fail(api: Any) -> None:
    config = CONFIG + "limits: {call_timeout: 0.2}\n"
    async with api(config) as http, connect(http.site.address.url, http.site.login("rosa")) as rosa:

        async def refuse(_: Any, __: Any) -> Any:
            raise CallError({"why": "closed"})

        async def sleep(_: Any, __: Any) -> Any:
            await trio.sleep_forever()

        async with rosa.provide("refuse", refuse), rosa.provide("sleep", sleep):
            found = (await http.send(make("refuse"), make("sleep"), make("nobody")))["body"]
    assert [(answer["errorEvent"], answer["error"]) for answer in found] == [
        (7, "An error occurred: REQUEST_ERROR."),
        (104, "The RPC response timeout was exceeded by the provider."),
        (100, 'No provider was available to handle the RPC "nobody".'),
    ]
    assert found[0]["errorParams"] == {"why": "closed"}
    assert all(answer["errorTopic"] == "rpc" and not answer["success"] for answer in found)


async def test_a_provider_that_leaves(api: Any) -> None:
    async with api() as http, trio.open_nursery() as nursery:
        ready, gone = trio.Event(), trio.CancelScope()

        async def provide() -> None:
            async def leave(_: Any, __: Any) -> Any:
                gone.cancel()
                await trio.sleep_forever()

            with gone:
                async with (
                    connect(http.site.address.url, http.site.login("rosa")) as rosa,
                    rosa.provide("sleep", leave),
                ):
                    ready.set()
                    await trio.sleep_forever()

        nursery.start_soon(provide)
        await ready.wait()
        answer = await http.one(**make("sleep"))
    assert (answer["errorEvent"], answer["error"]) == (104, "The provider left before answering.")


async def test_records_and_lists_are_answered_as_not_supported(api: Any) -> None:
    batch = [
        {"topic": "record", "action": "read", "recordName": "a"},
        {"topic": "record", "action": "head", "recordName": "a"},
        {"topic": "record", "action": "delete", "recordName": "a"},
        {"topic": "record", "action": "write", "recordName": "a", "data": {"b": 1}, "version": 1, "path": "c"},
        {"topic": "record", "action": "notify", "recordNames": ["a"]},
        {"topic": "list", "action": "read", "listName": "a"},
        {"topic": "list", "action": "delete", "listName": "a"},
        {"topic": "list", "action": "write", "listName": "a", "data": ["b"]},
    ]
    async with api() as http:
        answer = await http.send(*batch, emit("room/1", 1))
    assert answer["result"] == "PARTIAL_SUCCESS"
    assert answer["body"].pop() == {"success": True}
    assert {found["errorEvent"] for found in answer["body"]} == {"NOT_SUPPORTED"}
    assert [found["errorAction"] for found in answer["body"]] == [message["action"] for message in batch]


# ---- requests that are wrong ------------------------------------------------------------------------------------

GOOD = emit("room/1", 1)
AT_ZERO = "Failed to parse JIF object at index 0. Reason: "


WRONG_REQUESTS: list[tuple[Any, str]] = [
    (b"{", "Failed to parse body of request: JSON: "),
    (b'{"body": [], "body": []}', "Failed to parse body of request: JSON: "),
    (b'{"body": ' + b"[" * 50 + b"]" * 50 + b"}", "Failed to parse body of request: JSON: "),
    (b'{"body": [{"data": "\\ud800"}]}', "Failed to parse body of request: JSON: "),
    ([], "Invalid message: the request must be a JSON object."),
    ({}, 'Invalid message: the "body" parameter must exist.'),
    ({"body": []}, 'Invalid message: the "body" parameter must be a non-empty array of Objects.'),
    ({"body": {}}, 'Invalid message: the "body" parameter must be a non-empty array of Objects.'),
    ({"body": [GOOD] * 101}, 'Invalid message: the "body" parameter holds more than 100 messages.'),
    ({"body": [GOOD], "authData": "x"}, 'Invalid message: the "authData" parameter must be an object'),
    ({"body": [GOOD], "authData": None}, 'Invalid message: the "authData" parameter must be an object'),
    ({"body": [GOOD], "token": ""}, 'Invalid message: the "token" parameter must be a non-empty string'),
    ({"body": [GOOD], "token": 7}, 'Invalid message: the "token" parameter must be a non-empty string'),
]
WRONG_MESSAGES: list[tuple[Any, str]] = [
    (1, "a message must be an object"),
    ({}, "property 'topic' must be one of event, list, presence, record, rpc"),
    ({"topic": "EVENT", "action": "emit"}, "property 'topic' must be one of"),
    ({"topic": "event"}, "property 'action' must be one of emit for topic 'event'"),
    ({"topic": "event", "action": ["emit"]}, "property 'action' must be one of emit for topic 'event'"),
    ({"topic": "event", "action": "emit"}, "Object missing required field `eventName`"),
    ({"topic": "event", "action": "emit", "eventName": ""}, "Expected `str` of length >= 1"),
    ({"topic": "event", "action": "emit", "eventName": 1}, "Expected `str`, got `int`"),
    ({**GOOD, "user": "boss"}, "Object contains unknown field `user`"),
    ({**GOOD, "x" * 1000: 1}, "Object contains unknown field `xxx"),
    ({**make("add"), "requestorName": "boss"}, "Object contains unknown field `requestorName`"),
    ({**QUERY, "names": "rosa"}, "Expected `array`, got `str`"),
    ({"topic": "record", "action": "write", "recordName": "a"}, "Object missing required field `data`"),
    (emit("room/1", "x" * 300_000), "property 'data' has more than 262144 bytes"),
]


@pytest.mark.threat("T28")
async def test_a_request_that_is_no_request_is_answered_400_in_plain_text(api: Any) -> None:
    async with api() as http:
        for body, text in WRONG_REQUESTS:
            response = await http.post("/api", body)
            assert (response.status_code, response.text[: len(text)]) == (400, text)
            assert response.headers["content-type"] == "text/plain; charset=utf-8"


@pytest.mark.threat("T28")
async def test_nothing_of_a_batch_with_a_mistake_in_it_is_done(api: Any) -> None:
    async with (
        api() as http,
        connect(http.site.address.url, http.site.login("rosa")) as rosa,
        rosa.subscribe("room/1") as events,
    ):
        for message, reason in WRONG_MESSAGES:
            response = await http.post("/api", {"authData": http.site.login("egon"), "body": [message, GOOD]})
            wanted = AT_ZERO + reason
            assert (response.status_code, response.text[: len(wanted)]) == (400, wanted)
            assert len(response.text) < 500
        await http.send(emit("room/1", "after"))
        with trio.fail_after(PATIENCE):
            assert (await anext(events)).data == "after"


@pytest.mark.threat("T15")
async def test_the_apps_own_bounds_count(api: Any) -> None:
    limits = "limits: {json_depth: 5, message_size: 20000, login_message_size: 200}\n"
    async with api(CONFIG + limits) as http:
        login = http.site.login("egon")
        deep = await http.post("/api", {"authData": login, "body": [emit("room/1", [[[1]]])]})
        fits = await http.post("/api", {"authData": login, "body": [emit("room/1", [[1]])]})
        big = await http.post("/api", {"authData": login, "body": [emit("room/1", "x" * 20_000)]})
        long = await http.post("/api/auth", {**login, "more": "x" * 200})
    assert [found.status_code for found in (deep, fits, big, long)] == [400, 200, 400, 413]
    assert "nested more than 5 deep" in deep.text
    assert "more than 20000 bytes" in big.text


@pytest.mark.threat("T57")
async def test_a_burst_of_guesses_is_no_way_around_the_wait(api: Any) -> None:
    async def doorman(request: ServiceRequest, stream: trio.abc.Stream) -> None:
        good = request.json["authData"] == {"token": "good"}
        if good:
            await others.wait()
        await answer_json(200 if good else 401, {"id": "ann"} if good else {})(request, stream)

    others, statuses = trio.Event(), []
    async with serve(doorman) as service, behind(api, service, WEBHOOK.replace("0.5", "10")) as http:

        async def guess(token: str) -> None:
            statuses.append((token, (await http.post("/api/auth", {"token": token})).status_code))

        async with trio.open_nursery() as nursery:
            nursery.start_soon(guess, "good")
            while not service.requests:
                await trio.sleep(0.01)
            async with trio.open_nursery() as bad:
                for number in range(25):
                    bad.start_soon(guess, f"t{number}")
            others.set()
    assert statuses[-1] == ("good", 429)


async def test_other_types_methods_and_paths(api: Any) -> None:
    async with api() as http, httpx.AsyncClient(trust_env=False, base_url=http.url) as client:
        form = await client.post("/api", content=b"{}", headers={"content-type": "text/plain"})
        get = await client.get("/api")
        put = await client.put("/api", content=b"{}")
        deeper = await client.post("/api/x", json={})
    assert (form.status_code, get.status_code, put.status_code, deeper.status_code) == (415, 400, 405, 404)
    assert get.text == "Reading records via HTTP GET is not yet implemented, please use a POST request instead."


async def test_there_is_no_http_api_unless_the_config_has_it(api: Any) -> None:
    async with api(USERS_CONFIG) as http:
        assert (await http.post("/api", {"body": [GOOD]})).status_code == 404


async def test_trying_credentials_can_be_switched_off(api: Any) -> None:
    async with api(USERS_CONFIG + "http_api: {auth_path: null}\n") as http:
        assert (await http.post("/api/auth", {})).status_code == 404
        assert (await http.one(**GOOD)) == {"success": True}


# ---- who may ----------------------------------------------------------------------------------------------------


async def test_credentials_are_tried_and_nothing_else_happens(api: Any) -> None:
    async with api() as http:
        await http.site.admin("PATCH", "/admin/users/egon", json={"client_data": {"theme": "dark"}})
        good = await http.post("/api/auth", http.site.login("egon"))
        plain = await http.post("/api/auth", http.site.login("rosa"))
        bad = await http.post("/api/auth", {"username": "egon", "password": "wrong"})
        no_object = await http.post("/api/auth", [])
    assert (good.status_code, good.json()) == (200, {"clientData": {"theme": "dark"}})
    assert (plain.status_code, plain.json()) == (200, {})
    assert (bad.status_code, bad.text) == (401, "Invalid authentication data.")
    assert no_object.status_code == 400


async def test_a_bad_login_is_401_and_says_no_more(api: Any) -> None:
    async with api() as http:
        wrong = await http.post("/api", {"authData": {"username": "egon", "password": "wrong"}, "body": [GOOD]})
        unknown = await http.post("/api", {"authData": {"username": "nobody", "password": "x"}, "body": [GOOD]})
        nothing = await http.post("/api", {"body": [GOOD]})
    assert {(found.status_code, found.text) for found in (wrong, unknown, nothing)} == {
        (401, "Unsuccessful authentication attempt.")
    }
    assert wrong.headers["www-authenticate"] == "Bearer"


async def test_auth_data_can_be_switched_off(api: Any) -> None:
    async with api(USERS_CONFIG + "http_api: {allow_auth_data: false}\n") as http:
        response = await http.post("/api", {"authData": http.site.login("egon"), "body": [GOOD]})
    assert response.status_code == 400
    assert response.text == "Authentication using authData is disabled. Try using a token instead."


WEBHOOK = """
rules: rules.yml
login: [{strategy: webhook, url: "${URL}", timeout: 0.5, breaker_failures: 0}]
listen: {port: 0}
admin: {port: 0, token: "${ADMIN}"}
http_api: {}
"""


@asynccontextmanager
async def behind(api: Any, service: HttpService, config: str = WEBHOOK) -> AsyncIterator[Api]:
    async with api(config, users=(), URL=service.url) as http:
        yield http


async def test_a_token_reaches_the_login_service_from_the_body_or_the_header(api: Any) -> None:
    async with serve(answer_json(200, {"id": "ann", "clientData": {"a": 1}})) as service, behind(api, service) as http:
        body = {"body": [emit("room/1", 1)]}
        by_body = await http.post("/api", {"token": "t-1", **body}, cookie="sid=1")
        by_header = await http.post("/api", body, authorization="Bearer t-2")
        both = await http.post("/api", {"token": "t-3", **body}, authorization="Bearer t-4")
    assert [found.json()["result"] for found in (by_body, by_header, both)] == ["SUCCESS"] * 3
    told = [request.json for request in service.requests]
    assert [each["authData"] for each in told] == [{"token": "t-1"}, {"token": "t-2"}, {"token": "t-3"}]
    assert told[0]["connectionData"]["headers"]["cookie"] == "sid=1"
    assert told[0]["connectionData"]["remoteAddress"] == "127.0.0.1"


async def test_a_token_of_the_login_service_is_handed_out_and_comes_back(api: Any) -> None:
    async def doorman(request: ServiceRequest, stream: trio.abc.Stream) -> None:
        auth = request.json["authData"]
        found = {"id": "ann"} if auth == {"token": "t-9"} else {"id": "ann", "clientData": {"a": 1}, "token": "t-9"}
        await answer_json(200, found)(request, stream)

    async with serve(doorman) as service, behind(api, service) as http:
        answer = (await http.post("/api/auth", {"username": "ann", "password": "x"})).json()
        assert answer == {"token": "t-9", "clientData": {"a": 1}}
        assert (await http.post("/api", {"token": answer["token"], "body": [GOOD]})).json()["result"] == "SUCCESS"
        service.behave = answer_json(200, {"id": "ann", "token": {"not": "a text"}})
        assert (await http.post("/api/auth", {})).json() == {}


@pytest.mark.threat("T60")
async def test_a_login_that_cannot_be_checked_is_503_and_lets_nobody_in(api: Any) -> None:
    async with serve(hang()) as service, behind(api, service) as http:
        batch = await http.post("/api", {"token": "t", "body": [GOOD]})
        auth = await http.post("/api/auth", {"token": "t"})
    for response in (batch, auth):
        assert (response.status_code, response.text) == (503, "Logins cannot be checked at the moment.")
        assert int(response.headers["retry-after"]) > 0


async def test_credentials_are_small(api: Any) -> None:
    async with api() as http:
        batch = await http.post("/api", {"token": "x" * 20_000, "body": [GOOD]})
        auth = await http.post("/api/auth", {"username": "x" * 20_000})
    assert (batch.status_code, auth.status_code) == (413, 413)


@pytest.mark.threat("T57")
async def test_an_address_that_fails_too_often_waits(api: Any) -> None:
    async with serve(answer_json(401, {"error": "no"})) as service, behind(api, service) as http:
        statuses = [(await http.post("/api/auth", {"token": f"t{n}"})).status_code for n in range(20)]
        asked = len(service.requests)
        late = await http.post("/api", {"token": "t", "body": [GOOD]})
        service.behave = answer_json(200, {"id": "ann"})
        assert len(service.requests) == asked
    assert statuses == [401] * 20
    assert late.status_code == 429
    assert int(late.headers["retry-after"]) >= 1


@pytest.mark.threat("T57")
async def test_the_wait_of_the_built_in_users_is_told(api: Any) -> None:
    async with api() as http:
        wrong = {"username": "egon", "password": "wrong"}
        statuses = [(await http.post("/api/auth", wrong)).status_code for _ in range(6)]
    assert statuses == [401] * 5 + [429]


@pytest.mark.threat("T62")
async def test_no_credential_gets_into_the_log_or_an_answer(api: Any, capfd: pytest.CaptureFixture[str]) -> None:
    async with api() as http:
        seen = [
            await http.post("/api", {"authData": {"username": "egon", "password": "canary-1"}, "body": [GOOD]}),
            await http.post("/api", {"token": "canary-2", "body": [GOOD]}),
            await http.post("/api", {"body": [GOOD]}, authorization="Bearer canary-3"),
            await http.post("/api/auth", {"password": ["canary-4"]}),
            await http.post("/api", {"token": ["canary-5"], "body": [GOOD]}),
            await http.post("/api", b'{"token": "canary-6"'),
            await http.post("/api", {"token": "canary-7" * 3_000, "body": [GOOD]}),
        ]
    output = capfd.readouterr()
    everything = "".join(found.text + repr(found.headers) for found in seen) + output.out + output.err
    assert "canary" not in everything
    assert "http_api_refused" in everything  # the last one, which no login chain has seen


# ---- pages ------------------------------------------------------------------------------------------------------

PAGE = "https://page.example"


@pytest.mark.threat("T01")
async def test_only_pages_on_the_list_may_use_it(api: Any) -> None:
    config = CONFIG.replace("listen: {port: 0}", f'listen: {{port: 0, origins: ["{PAGE}"]}}')
    body = {"body": [GOOD]}
    async with api(config) as http, httpx.AsyncClient(trust_env=False) as client:
        for origin in (
            "https://evil.example",
            "http://page.example",
            "https://page.example.evil",
            "null",
            PAGE.upper(),
        ):
            refused = await http.post("/api", {"authData": http.site.login("egon"), **body}, origin=origin)
            assert (refused.status_code, refused.text) == (403, "This origin may not use the HTTP API.")
            assert not any(name.startswith("access-control") for name in refused.headers)
        good = await http.post("/api", {"authData": http.site.login("egon"), **body}, origin=PAGE)
        denied = await http.post("/api/auth", {}, origin=PAGE)
        before = await client.options(f"{http.url}/api", headers={"origin": PAGE})
    for response, status in ((good, 200), (denied, 401), (before, 204)):
        assert response.status_code == status
        assert response.headers["access-control-allow-origin"] == PAGE
        assert response.headers["access-control-allow-credentials"] == "true"
        assert response.headers["vary"] == "Origin"
    allowed = before.headers["access-control-allow-headers"].split(", ")
    assert set(allowed) == {"X-Requested-With", "X-HTTP-Method-Override", "Content-Type", "Accept", "Authorization"}


@pytest.mark.threat("T01")
async def test_where_every_page_may_come_none_brings_cookies(api: Any) -> None:
    config = CONFIG.replace("listen: {port: 0}", 'listen: {port: 0, origins: ["*"]}')
    async with api(config) as http, httpx.AsyncClient(trust_env=False) as client:
        answer = await client.options(f"{http.url}/api", headers={"origin": PAGE})
        assert answer.headers["access-control-allow-origin"] == "*"
        assert "access-control-allow-credentials" not in answer.headers


@pytest.mark.threat("T69")
async def test_a_reload_changes_which_pages_may_come(api: Any) -> None:
    async with api() as http:
        assert (await http.post("/api/auth", {}, origin=PAGE)).status_code == 403
        path = http.site.folder / "config.yml"
        path.write_text(path.read_text().replace("listen: {port: 0}", f'listen: {{port: 0, origins: ["{PAGE}"]}}'))
        assert (await http.site.admin("POST", "/admin/reload")).status_code == 200
        assert (await http.post("/api/auth", {}, origin=PAGE)).status_code == 401


# ---- apps -------------------------------------------------------------------------------------------------------

APPS = (
    CONFIG
    + """
apps:
  shop: {rules: rules.yml, login: [{strategy: open}]}
  deep: {rules: rules.yml, login: [{strategy: open}], path: /a/deep}
"""
)


@pytest.mark.threat("T66")
async def test_each_app_has_paths_of_its_own_and_meets_no_other(api: Any) -> None:
    rules = RULES.replace('"user.isAuthenticated"', "true").replace("user.isAuthenticated && ", "")
    async with api(APPS, rules) as http, connect(f"{http.site.address.url}shop", None) as shop:
        async with shop.subscribe("room/1") as events:
            assert (await http.one(**emit("room/1", "default"))) == {"success": True}
            for path in ("/a/deep/api", "/shop/api"):
                response = await http.post(path, {"body": [emit("room/1", path)]})
                assert response.json()["result"] == "SUCCESS"
            with trio.fail_after(PATIENCE):
                assert (await anext(events)).data == "/shop/api"
        assert (await http.post("/shop/api/auth", {})).status_code == 200
        assert (await http.post("/api/auth", {})).status_code == 401  # another chain


# ---- the life of a request --------------------------------------------------------------------------------------


@asynccontextmanager
async def sleeper(http: Api) -> AsyncIterator[tuple[trio.Event, trio.Event]]:
    """Somebody who provides ``sleep`` and never answers; set when it was called, and when nobody waits any more."""
    called, given_up = trio.Event(), trio.Event()

    async def sleep(_: Any, __: Any) -> Any:
        called.set()
        try:
            await trio.sleep_forever()
        finally:
            given_up.set()

    async with connect(http.site.address.url, http.site.login("rosa")) as rosa, rosa.provide("sleep", sleep):
        yield called, given_up


async def test_what_is_open_at_the_end_of_its_time_is_answered_as_timed_out(api: Any) -> None:
    async with api(USERS_CONFIG + "http_api: {request_timeout: 0.5}\n") as http, sleeper(http) as (_, given_up):
        answer = await http.send(emit("room/1", 1), make("sleep"))
        with trio.fail_after(PATIENCE):
            await given_up.wait()
    assert answer == {
        "result": "PARTIAL_SUCCESS",
        "body": [
            {"success": True},
            {
                "success": False,
                "error": "Request exceeded timeout before a response was received.",
                "errorTopic": "connection",
                "errorEvent": "HTTP_REQUEST_TIMEOUT",
            },
        ],
    }


async def test_nothing_goes_on_for_a_client_that_has_left(api: Any) -> None:
    async with api() as http, sleeper(http) as (called, given_up):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(http.send, make("sleep"))
            await called.wait()
            nursery.cancel_scope.cancel()
        with trio.fail_after(PATIENCE / 2):  # long before the request's own end
            await given_up.wait()


@pytest.mark.threat("T33")
async def test_a_login_that_is_revoked_ends_its_request(api: Any) -> None:
    async with api() as http, sleeper(http) as (called, given_up):
        answers: list[dict[str, Any]] = []

        async def ask() -> None:
            answers.append(await http.send(emit("room/1", 1), make("sleep")))

        async with trio.open_nursery() as nursery:
            nursery.start_soon(ask)
            await called.wait()
            revoked = await http.site.admin("POST", "/admin/revocations", json={"kind": "user", "value": "egon"})
            assert revoked.json()["ended"] == 1
        with trio.fail_after(PATIENCE):
            await given_up.wait()
    assert answers[0]["result"] == "PARTIAL_SUCCESS"
    assert answers[0]["body"][1]["errorEvent"] == "CLOSED"
    assert answers[0]["body"][1]["error"] == "The login was revoked."


KEYED = """
rules: rules.yml
login: [{strategy: access}, {strategy: users}]
listen: {port: 0}
admin: {port: 0, token: "${ADMIN}"}
rest: {}
http_api: {request_timeout: 300}
limits: {expiry_grace: 0}
storage: {url: "sqlite:///users.db", encryption_key: "${SEAL}"}
"""


@pytest.mark.threat("T48")
async def test_a_request_ends_with_its_token(api: Any) -> None:
    async with api(KEYED, SEAL="an encryption key for tests, of some length") as http, sleeper(http) as (called, _):
        made = await http.site.admin("POST", "/admin/apps/default/keys", json={"id": "k"})
        async with httpx.AsyncClient(trust_env=False) as client:
            token = await client.post(
                f"{http.url}/v1/keys/tokens",
                json={"clientId": "john", "lifetime": 3},
                auth=("default.k", made.json()["secret"]),
            )
        bearer = {"authorization": f"Bearer {token.json()['data']['token']}"}
        with trio.fail_after(PATIENCE):
            response = await http.post("/api", {"body": [make("sleep")]}, **bearer)
        assert called.is_set()
        (answer,) = response.json()["body"]
    assert answer["errorEvent"] == "HTTP_REQUEST_TIMEOUT"


async def test_a_drain_answers_what_is_in_progress(api: Any) -> None:
    asked, go_on = trio.Event(), trio.Event()

    async def doorman(request: ServiceRequest, stream: trio.abc.Stream) -> None:
        asked.set()
        await go_on.wait()
        await answer_json(200, {"id": "ann"})(request, stream)

    async with serve(doorman) as service, behind(api, service, WEBHOOK.replace("0.5", "10")) as http:
        answers: list[httpx.Response] = []

        async def ask() -> None:
            answers.append(await http.post("/api", {"token": "t", "body": [GOOD]}))

        async with trio.open_nursery() as nursery:
            nursery.start_soon(ask)
            await asked.wait()
            http.site.router.stop()
            while not http.site.router.draining:
                await trio.lowlevel.checkpoint()
            await trio.testing.wait_all_tasks_blocked(
                0.05
            )  # no session is left: nothing but this request is waited for
            go_on.set()
    assert answers[0].json() == {"result": "SUCCESS", "body": [{"success": True}]}


async def test_requests_of_one_connection_follow_each_other(api: Any) -> None:
    async with api() as http, httpx.AsyncClient(trust_env=False, base_url=http.url) as client:
        for _ in range(5):
            body = {"authData": http.site.login("egon"), "body": [GOOD]}
            assert (await client.post("/api", json=body)).json()["result"] == "SUCCESS"
        health = (await http.site.admin("GET", "/health")).json()
    assert health["sessions"] == 0
