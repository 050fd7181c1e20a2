"""Finds requirement ids that no specification states, wherever contracts, features and code mention one.

Tests are left out: they plant wrong ids on purpose, and the ids of their marks are checked when they are collected.

Source: OC-TEST-7004.
"""

from collections.abc import Iterable
from pathlib import Path

from harness.requirements import ID
from tools import tree

SUFFIXES = {".py", ".yaml", ".json", ".feature", ".md", ".toml"}


def unknown(root: Path, known: Iterable[str]) -> list[str]:
    """One line for each mention of an id that is not among `known`."""
    stated = set(known)
    return [
        f"{path.relative_to(root)}:{number}: {identifier} is stated by no specification"
        for path in tree.files(root, SUFFIXES)
        if "tests" not in path.parts
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1)
        for identifier in ID.findall(line)
        if identifier not in stated
    ]
