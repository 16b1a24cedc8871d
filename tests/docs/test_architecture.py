"""ARCHITECTURE.md shows the layers that the import contracts in setup.cfg hold, in their order, and names modules that exist."""

from __future__ import annotations

import configparser
import re
from pathlib import Path

ROOT = Path(__file__).parents[2]
TEXT = (ROOT / "ARCHITECTURE.md").read_text(encoding="utf-8")


def contracts() -> list[set[str]]:
    config = configparser.ConfigParser()
    config.read(ROOT / "setup.cfg", encoding="utf-8")
    lines = config["importlinter:contract:layers"]["layers"].split("\n")
    return [set(re.findall(r"\w+", line)) for line in lines if line.strip()]


def shown() -> list[set[str]]:
    section = TEXT.partition("\n## Layers\n")[2]
    block = section.split("```")[1].strip("\n").split("\n")
    # Names stand in the first column, which two spaces or more divide from what they are about.
    return [set(re.findall(r"\w+", line[:38])) for line in block]


def test_the_layers_are_those_of_the_contracts() -> None:
    layers = contracts()
    assert shown()[: len(layers) - 1] == layers[:-1]
    vocabulary = set().union(*shown()[len(layers) - 1 :])
    assert vocabulary and vocabulary <= layers[-1]


def test_every_layer_exists() -> None:
    package = ROOT / "trio_router"
    missing = [
        name
        for name in set().union(*shown())
        if not (package / f"{name}.py").exists() and not (package / name / "__init__.py").exists()
    ]
    assert missing == []


def test_the_modules_it_names_exist() -> None:
    named = set(re.findall(r"`(\w+/\w+\.py)`", TEXT))
    assert named
    assert [name for name in named if not (ROOT / "trio_router" / name).exists()] == []
