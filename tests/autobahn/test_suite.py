"""The suite is asked for by hand (``tox run -e autobahn``); that its echo echoes and its verdicts are read rightly is tried always."""

from __future__ import annotations

import json
import os
import stat
import sys
from pathlib import Path

import pytest
import trio
import trio_websocket

from tests.autobahn import suite
from tests.autobahn.__main__ import main, once
from tests.autobahn.echo import LANES, serving


@pytest.mark.parametrize("lane", LANES)
async def test_the_echo_sends_back_what_came(lane: str) -> None:
    with trio.fail_after(60):
        async with (
            serving(lane) as port,
            trio_websocket.open_websocket("127.0.0.1", port, "/", use_ssl=False) as client,
        ):
            for message in ("", "grüße", "x" * 70_000, b"", b"\xff\xfe", bytes(200_000)):
                await client.send_message(message)
                assert await client.get_message() == message


async def test_there_is_no_other_lane() -> None:
    with pytest.raises(ValueError, match="'slow'"):
        async with serving("slow"):
            pass


def case(behavior: str = "OK", close: str = "OK") -> dict[str, str]:
    return {"behavior": behavior, "behaviorClose": close}


@pytest.mark.parametrize("verdict", sorted(suite.PASSED))
def test_what_passes(verdict: str) -> None:
    assert suite.failures({"1.1.1": case(verdict, verdict)}) == []


@pytest.mark.parametrize("verdict", ["FAILED", "UNCLEAN", "WRONG CODE", "FAILED BY CLIENT", "", "whatever comes"])
def test_whatever_else_fails(verdict: str) -> None:
    assert suite.failures({"1.1.10": case(verdict), "1.1.9": case("OK", verdict), "2.1": case()}) == [
        f"1.1.9: OK, close {verdict}",
        f"1.1.10: {verdict}, close OK",
    ]


def test_nothing_is_not_a_success() -> None:
    assert suite.failures({}) == ["no case was run"]


def client(tmp_path: Path, body: str) -> Path:
    """A client that does ``body`` with the folder of its reports in ``out`` and the spec in ``spec``."""
    path = tmp_path / "client"
    path.write_text(
        f"#!{sys.executable}\nimport json, pathlib, sys\nspec = json.loads(pathlib.Path(sys.argv[-1]).read_text())\n"
        f"out = pathlib.Path(spec['outdir'])\n{body}\n"
    )
    path.chmod(path.stat().st_mode | stat.S_IXUSR)
    return path


def test_a_run_reads_what_the_client_found(tmp_path: Path) -> None:
    verdicts = {"1.1.1": case("FAILED")}
    program = client(tmp_path, f"(out / 'index.json').write_text({json.dumps(json.dumps({suite.AGENT: verdicts}))})")
    assert once(program, "off", ["1.*"], tmp_path / "reports") == ["1.1.1: FAILED, close OK"]
    spec = json.loads((tmp_path / "reports" / "spec.json").read_text())
    assert spec["cases"] == ["1.*"]
    assert spec["servers"][0]["url"].startswith("ws://127.0.0.1:")


def test_a_client_that_leaves_no_report_has_not_succeeded(tmp_path: Path) -> None:
    (tmp_path / "index.json").write_text('{"trio_router": {}}')  # of a run before
    with pytest.raises(suite.Broken, match=r"client\.log"):
        suite.run(client(tmp_path, "sys.exit(1)"), "ws://127.0.0.1:1/", tmp_path)


def python(folder: Path, body: str) -> Path:
    """Something that is called python2.7."""
    folder.mkdir(parents=True)
    path = folder / "python2.7"
    path.write_text(f"#!/bin/sh\n{body}\n")
    path.chmod(0o700)
    return path


def test_python_2_is_where_it_was_said_or_found(tmp_path: Path) -> None:
    versions = tmp_path / ".pyenv" / "versions"
    python(versions / "2.7.9" / "bin", "echo Python 2.7.9 >&2")
    newest = python(versions / "2.7.18" / "bin", "echo Python 2.7.18 >&2")
    stand_in = python(tmp_path / "shims", "echo no such version >&2; exit 127")
    path = {"PATH": f"{stand_in.parent}:/bin"}
    assert suite.python27({**path, "PYTHON27": "/there/python"}, tmp_path) == Path("/there/python")
    assert suite.python27(path, tmp_path) == newest
    assert suite.python27(path, tmp_path / "elsewhere") is None
    stand_in.write_text("#!/bin/sh\necho Python 2.7.3 >&2\n")
    assert suite.python27(path, tmp_path) == stand_in


def test_without_python_2_it_says_that_it_is_skipped(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ("PYTHON27", "PYENV_ROOT"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setattr(sys, "argv", ["autobahn", "--venv", str(tmp_path / "venv"), "--reports", os.devnull])
    assert main() == 0
    assert capsys.readouterr().out.startswith("skipped: there is no Python 2.7 here")
