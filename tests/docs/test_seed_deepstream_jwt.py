"""The page that goes through the tutorial names tests that exist, and every test of the tutorial's statements."""

from __future__ import annotations

import ast
import re
from pathlib import Path

ROOT = Path(__file__).parents[2]
TESTS = ROOT / "tests" / "browser" / "test_jwt_webhook.py"
BEYOND = {  # what the tutorial does not speak of
    "test_a_token_that_was_given_up_ends_what_it_opened_and_opens_nothing_more",
    "test_a_token_can_be_given_up_while_the_router_is_down",
    "test_a_page_of_another_origin_connects_only_if_it_is_listed",
    "test_start_runs_both_until_it_is_told_to_end",
}


def test_the_page_names_the_tests_there_are() -> None:
    page = (ROOT / "docs" / "reference" / "seed-deepstream-jwt.md").read_text()
    functions = [node for node in ast.parse(TESTS.read_text()).body if isinstance(node, ast.AsyncFunctionDef)]
    there_are = {function.name for function in functions if function.name.startswith("test_")}
    assert (
        set(re.findall(r"`(test_\w+)`", page.replace("`tests/browser/test_jwt_webhook.py`", ""))) == there_are - BEYOND
    )
    assert there_are >= BEYOND
