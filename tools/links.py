"""Finds links of Markdown files that lead nowhere inside the repository."""

import re
from pathlib import Path

LINK = re.compile(r"\]\(([^)#\s]+)(?:#[^)\s]*)?\)")


def broken(root: Path) -> list[str]:
    """One line for each relative link whose target does not exist."""
    files = [
        path for path in root.rglob("*.md") if not any(part.startswith(".") for part in path.relative_to(root).parts)
    ]
    return [
        f"{path.relative_to(root)}: broken link {target}"
        for path in sorted(files)
        for target in LINK.findall(path.read_text(encoding="utf-8"))
        if "://" not in target and not (path.parent / target).exists()
    ]
