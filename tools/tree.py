"""The repository's own files: what a developer wrote, without what runs and builds leave behind."""

from collections.abc import Collection, Iterator
from pathlib import Path

LEFT_BEHIND = {"__pycache__", "build", "dist", "out", "node_modules"}


def files(root: Path, suffixes: Collection[str]) -> Iterator[Path]:
    """Files with one of `suffixes` below `root`, sorted; hidden folders are left out."""
    for entry in sorted(root.iterdir()):
        if entry.name.startswith(".") or entry.name in LEFT_BEHIND:
            continue
        if entry.is_dir():
            yield from files(entry, suffixes)
        elif entry.suffix in suffixes:
            yield entry
