"""Finds relative links of Markdown files that lead nowhere: no such file, no such heading, or out of the repository."""

import re
from collections.abc import Iterator
from pathlib import Path

from tools import tree

INLINE = re.compile(r"\]\(<?([^)\s>]+)>?(?:\s+\"[^\"]*\")?\)")
REFERENCE = re.compile(r"^\[[^\]]+\]:\s+<?(\S+?)>?(?:\s|$)", re.MULTILINE)
ELSEWHERE = re.compile(r"^[a-z][a-z0-9+.-]*:", re.IGNORECASE)  # http:, https:, mailto:
FENCED = re.compile(r"^(```|~~~).*?^\1", re.MULTILINE | re.DOTALL)
CODE = re.compile(r"`[^`\n]*`")
HEADING = re.compile(r"^#{1,6}\s+(.+?)\s*#*$", re.MULTILINE)


def broken(root: Path) -> list[str]:
    """One line for each relative link that leads nowhere."""
    return [
        f"{path.relative_to(root)}: {target}: {why}"
        for path in tree.files(root, {".md"})
        for target in targets(path.read_text(encoding="utf-8"))
        if (why := _fault(root, path, target)) is not None
    ]


def targets(text: str) -> Iterator[str]:
    """The link targets of a Markdown text that are not addresses elsewhere; code is no link."""
    prose = CODE.sub("", FENCED.sub("", text))
    for target in [*INLINE.findall(prose), *REFERENCE.findall(prose)]:
        if not ELSEWHERE.match(target):
            yield target


def anchors(text: str) -> set[str]:
    """The anchors of a Markdown text's headings, as code hosts make them."""
    titles = HEADING.findall(FENCED.sub("", text))
    return {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles}


def _fault(root: Path, path: Path, target: str) -> str | None:
    name, _, anchor = target.partition("#")
    if name.startswith("/"):
        return "an absolute path means another place on every host"
    found = (path.parent / name).resolve() if name else path
    if not found.is_relative_to(root.resolve()):
        return "leads out of the repository"
    if not found.exists():
        return "no such file"
    if anchor and found.suffix == ".md" and anchor not in anchors(found.read_text(encoding="utf-8")):
        return "no such heading"
    return None
