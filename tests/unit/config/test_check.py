"""What can be known of a config before it is served."""

from __future__ import annotations

import datetime as dt
import os
from pathlib import Path

import attrs
import pytest
import trustme

from trio_router.auth.service_urls import is_loopback
from trio_router.clock import ManualClock, SystemClock
from trio_router.config.check import Report, check, read_rules, unsafe
from trio_router.config.load import load
from trio_router.errors import ConfigError, Problem, RuleError

MINIMAL = "rules: rules.yml\nlogin:\n  - strategy: users\n"
RULES = 'event:\n  "news/*":\n    subscribe: true\n'


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "rules.yml").write_text(RULES)
    return tmp_path


def report(folder: Path, text: str = MINIMAL, clock: ManualClock | None = None, **environ: str) -> Report:
    path = folder / "config.yml"
    path.write_text(text)
    path.chmod(0o600)
    return check(path, environ=environ, clock=clock)


def texts(folder: Path, problems: tuple[Problem, ...]) -> list[str]:
    return [str(problem).replace(f"{folder}/", "") for problem in problems]


def test_a_good_config_has_nothing_to_say(folder: Path) -> None:
    assert report(folder) == Report()


def test_the_problems_of_the_config_come_first_and_alone(folder: Path) -> None:
    found = report(folder, "rules: 1\n")
    assert texts(folder, found.problems) == [
        "config.yml:1:1: the key 'login' is missing",
        "config.yml:1:8: rules: expected text, got a number: put it in quotes",
    ]


@pytest.mark.threat("T31")
@pytest.mark.parametrize(
    ("rules", "expected"),
    [
        ("event:\n  'a':\n    publsh: true\n", "rules.yml:3:5"),
        ("event:\n  'a':\n    publish: 'user.id ='\n", "rules.yml:3:"),
        (": :\n", "rules.yml:1:"),
    ],
)
def test_broken_rules_are_named_with_their_place(folder: Path, rules: str, expected: str) -> None:
    (folder / "rules.yml").write_text(rules)
    problems = texts(folder, report(folder).problems)
    assert problems
    assert problems[0].startswith(expected)
    config = load(folder / "config.yml")
    with pytest.raises(RuleError):
        read_rules(config, SystemClock())


@pytest.mark.threat("T31")
def test_rules_that_cannot_be_read_are_no_rules(folder: Path) -> None:
    (folder / "rules.yml").unlink()
    found = report(folder)
    assert texts(folder, found.problems) == ["rules.yml: cannot be read: No such file or directory"]
    with pytest.raises(ConfigError):
        read_rules(load(folder / "config.yml"), SystemClock())


@pytest.mark.threat("T31")
@pytest.mark.parametrize(
    ("section", "expected"),
    [
        ("listen: {origins: ['*']}\n", "listen.origins: every web site may connect with its visitors' cookies ('*')"),
        ("listen: {host: 0.0.0.0}\n", "listen.host: clients beyond this machine connect without TLS"),
        ("listen: {host: '::'}\n", "listen.host: clients beyond this machine connect without TLS"),
        ("listen: {trusted_proxies: [0.0.0.0/0]}\n", "listen.trusted_proxies: every client may claim any address"),
        ("rest: {plain_basic: true}\n", "rest.plain_basic: the secrets of app keys are accepted without TLS"),
        ("admin: {port: 1}\n", "admin: has no token: whoever reaches the port reads health and metrics"),
        (
            "admin: {port: 1, host: 192.0.2.1, token: '${T}'}\n",
            "admin.host: administration is reachable from other machines, without TLS",
        ),
    ],
)
def test_what_is_unsafe_is_named_with_its_place(folder: Path, section: str, expected: str) -> None:
    found = report(folder, MINIMAL + section, T="t" * 30)
    assert found.problems == ()
    (finding,) = texts(folder, found.unsafe)
    assert finding.startswith("config.yml:4:")
    assert finding.endswith(expected)


@pytest.mark.threat("T31")
def test_what_a_strategy_calls_unsafe_is_named(folder: Path) -> None:
    found = report(folder, "rules: rules.yml\nlogin:\n  - strategy: open\n    allow_username: true\n")
    assert len(found.unsafe) == 2
    assert texts(folder, found.unsafe)[0] == (
        "config.yml:3:5: login[0]: open: connections are let in without being asked who they are"
    )
    assert [finding.message for finding in unsafe(load(folder / "config.yml"))] == [f.message for f in found.unsafe]


@pytest.mark.threat("T31")
def test_rules_that_allow_everybody_everything_are_named(folder: Path) -> None:
    (folder / "rules.yml").write_text('event:\n  "*":\n    publish: true\n    subscribe: user.isAuthenticated\n')
    assert texts(folder, report(folder).unsafe) == [
        "rules.yml:3:14: everybody may event.publish under any name, even without a login"
    ]


@pytest.mark.threat("T70")
def test_a_config_with_secrets_that_others_can_read_is_named(folder: Path) -> None:
    text = MINIMAL + "admin: {port: 1, token: '" + "x" * 30 + "'}\n"
    assert report(folder, text).unsafe == ()
    (folder / "config.yml").chmod(0o644)
    (finding,) = check(folder / "config.yml").unsafe
    assert "the config holds secrets and is open to other users" in finding.message
    (folder / "config.yml").write_text(MINIMAL)
    assert check(folder / "config.yml").unsafe == ()  # nothing secret in it


@pytest.mark.threat("T70")
def test_a_database_that_others_can_read_is_refused(folder: Path) -> None:
    (folder / "router.db").write_bytes(b"")
    (folder / "router.db").chmod(0o644)
    (problem,) = report(folder).problems
    assert "readable by others" in problem.message
    assert problem.field == "storage.url"


@pytest.mark.parametrize("url", ["mysql://u:canary@db/x", "nonsense-canary", "sqlite:///missing/canary/x.db"])
@pytest.mark.threat("T62")
def test_a_store_that_cannot_be_is_a_problem_without_its_url(folder: Path, url: str) -> None:
    found = report(folder, MINIMAL + "storage: {url: '${URL}'}\n", URL=url)
    (problem,) = found.problems
    assert problem.field == "storage.url"
    if "missing" not in url:
        assert "canary" not in str(problem)


@pytest.mark.threat("T47")
def test_a_strategy_with_a_weak_key_is_refused_at_its_place(folder: Path) -> None:
    text = "rules: rules.yml\nlogin:\n  - strategy: jwt\n    algorithms: [HS256]\n    issuer: i\n    audience: a\n    secret: short-canary\n"
    found = report(folder, text)
    assert found.problems
    assert all(problem.line >= 3 for problem in found.problems)
    assert "canary" not in str(found)


@attrs.frozen
class BrokenOptions:
    """No options."""


class BrokenType:
    """A plugin that fails when it is built."""

    interface_version = 1
    Options = BrokenOptions

    def build(self, options: object, services: object) -> object:
        raise RuntimeError("canary")


def test_a_plugin_that_fails_is_a_problem_of_its_step(folder: Path) -> None:
    found = report(folder, f"rules: rules.yml\nlogin:\n  - strategy: {__name__}:BrokenType\n")
    assert texts(folder, found.problems) == ["config.yml:3:5: login[0]: the strategy cannot be built: RuntimeError"]


@pytest.fixture
def authority() -> trustme.CA:
    return trustme.CA()


def tls(folder: Path, cert: trustme.LeafCert, *, key: trustme.LeafCert | None = None) -> str:
    cert.cert_chain_pems[0].write_to_path(folder / "cert.pem")
    (key or cert).private_key_pem.write_to_path(folder / "key.pem")
    (folder / "key.pem").chmod(0o600)
    return MINIMAL + "listen:\n  tls:\n    certificate: cert.pem\n    key: key.pem\n"


def test_a_certificate_with_its_key_is_fine(folder: Path, authority: trustme.CA) -> None:
    assert report(folder, tls(folder, authority.issue_cert("localhost"))) == Report()


def test_a_key_of_another_certificate_is_found(folder: Path, authority: trustme.CA) -> None:
    text = tls(folder, authority.issue_cert("localhost"), key=authority.issue_cert("localhost"))
    assert texts(folder, report(folder, text).problems) == [
        "config.yml:7:10: listen.tls.key: does not belong to the certificate"
    ]


def test_an_expired_certificate_is_found(folder: Path, authority: trustme.CA) -> None:
    end = dt.datetime(2020, 5, 4, tzinfo=dt.UTC)
    text = tls(folder, authority.issue_cert("localhost", not_after=end))
    assert texts(folder, report(folder, text).problems) == [
        "config.yml:6:18: listen.tls.certificate: expired on 2020-05-04"
    ]
    assert report(folder, text, ManualClock(wall=end.timestamp() - 3600)).problems == ()


def test_files_that_are_no_pem_are_found(folder: Path) -> None:
    (folder / "cert.pem").write_text("hello")
    text = MINIMAL + "listen:\n  tls:\n    certificate: cert.pem\n    key: missing.pem\n"
    assert texts(folder, report(folder, text).problems) == [
        "config.yml:6:18: listen.tls.certificate: is not a certificate in PEM",
        "config.yml:7:10: listen.tls.key: cannot be read: No such file or directory",
    ]


@pytest.mark.threat("T70")
def test_a_key_that_others_can_read_is_named(folder: Path, authority: trustme.CA) -> None:
    text = tls(folder, authority.issue_cert("localhost"))
    os.chmod(folder / "key.pem", 0o644)
    (finding,) = texts(folder, report(folder, text).unsafe)
    assert finding.startswith("config.yml:7:10: listen.tls.key: the key is open to other users (mode 0644)")


@pytest.mark.parametrize(
    ("host", "expected"),
    [("127.0.0.1", True), ("127.8.8.8", True), ("::1", True), ("localhost", True), ("0.0.0.0", False), ("::", False)],
)
def test_what_loopback_is(host: str, expected: bool) -> None:
    assert is_loopback(host) is expected


def test_a_decision_log_that_others_can_use_is_a_problem(folder: Path) -> None:
    folder.chmod(0o700)
    text = MINIMAL + "decisions: {log: decisions.log}\n"
    assert report(folder, text) == Report()
    (folder / "decisions.log").touch()
    (folder / "decisions.log").chmod(0o644)
    assert texts(folder, report(folder, text).problems) == [
        f"decisions.log: the decision log is readable by others (mode 0644): run `chmod 600 {folder}/decisions.log`".replace(
            f"{folder}/", ""
        )
    ]
