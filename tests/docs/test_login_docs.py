"""The pages about logging in say what the code does: the plugin of the how-to runs, the webhook's options are all there."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import attrs
import yaml

from trio_router.auth.open import OpenOptions
from trio_router.auth.webhook_options import WebhookOptions

DOCS = Path(__file__).parents[2] / "docs"
OWN_FILE = re.compile(r"```python\n# (\S+\.py)\n(.*?)```", re.DOTALL)
OPTION = re.compile(r"^\| `(\w+)` \| (.*?) \|", re.MULTILINE)


def test_the_plugin_of_the_how_to_passes_the_contract_as_printed(tmp_path: Path) -> None:
    page = (DOCS / "howto/write-an-auth-plugin.md").read_text()
    files = dict(OWN_FILE.findall(page))
    assert sorted(files) == ["acme_auth/strategy.py", "tests/test_acme.py"]
    for name, code in files.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(code)
    (tmp_path / "acme_auth" / "__init__.py").touch()
    (tmp_path / "pytest.ini").write_text("[pytest]\ntrio_mode = true\npythonpath = .\n")
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-p", "no:xdist"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert re.search(r"\b1[0-9] passed", done.stdout)


def test_the_reference_lists_every_option_of_the_open_login() -> None:
    listed = dict(OPTION.findall((DOCS / "reference/login-open.md").read_text()))
    assert {name: yaml.safe_load(text) or None for name, text in listed.items() if text != "none"} == {
        field.name: field.default or None for field in attrs.fields(OpenOptions) if field.name != "user_data"
    }
    assert set(listed) == {field.name for field in attrs.fields(OpenOptions)}


def test_the_reference_lists_every_option_of_the_webhook_with_its_default() -> None:
    page = (DOCS / "reference/login-webhook.md").read_text()
    listed = dict(OPTION.findall(page[page.index("## Options") : page.index("## Reasons")]))
    fields = {field.name: field for field in attrs.fields(WebhookOptions)}
    assert list(listed) == [name for name in listed if name in fields]
    assert set(listed) == set(fields)
    options = WebhookOptions("https://example.org/")
    for name, text in listed.items():
        if name in {"url", "secret", "unavailable_statuses"}:
            continue
        assert yaml.safe_load(text.strip("`")) == getattr(options, name), name
