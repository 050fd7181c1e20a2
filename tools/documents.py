"""Finds commands in Markdown that do not exist: verbs and options are asked of the programs' own `--help`.

Commands are the lines of ```sh blocks, and code spans that begin with a program of ours.

Source: OC-TEST-7040.
"""

import functools
import itertools
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

DOCUMENTS = ("README.md", "CONTRIBUTING.md")
BLOCK = re.compile(r"^```sh\n(.*?)^```$", re.MULTILINE | re.DOTALL)
FENCED = re.compile(r"^```.*?^```$", re.MULTILINE | re.DOTALL)
SPAN = re.compile(r"`((?:\.venv/bin/)?(?:llama-orch|python -m tools|python -m pytest) [^`]+)`")
ASSIGNMENT = re.compile(r"[A-Z][A-Z0-9_]*=")
LISTED_VERB = re.compile(r"^ {2,4}([a-z][a-z-]*)(?: {2,}|$)", re.MULTILINE)
OF_THE_MACHINE = frozenset({"make", "curl", "kill", "git"})
HELP_S = 60


@dataclass(frozen=True, slots=True)
class Command:
    """One command of a document.

    Attributes:
        words: without assignments before it.
        text: as it stands there.
    """

    line: int
    words: tuple[str, ...]
    text: str


def problems(root: Path, documents: Sequence[str] = DOCUMENTS) -> list[str]:
    """One line for each command that would not work."""
    return [
        f"{name}:{command.line}: {what}"
        for name in documents
        for command in commands((root / name).read_text(encoding="utf-8"))
        for what in wrong(root, command.words)
    ]


def commands(text: str) -> Iterator[Command]:
    """Every command of a Markdown text, in blocks first."""
    for block in BLOCK.finditer(text):
        yield from _block(block[1], text.count("\n", 0, block.start(1)) + 1)
    prose = FENCED.sub(lambda fenced: "\n" * fenced[0].count("\n"), text)
    for span in SPAN.finditer(prose):
        yield _command(prose.count("\n", 0, span.start()) + 1, " ".join(span[1].split()))


def wrong(root: Path, words: Sequence[str]) -> Iterator[str]:
    """What of a command does not exist."""
    program = Path(words[0]).name
    if program == "llama-orch":
        yield from _unknown(root, ("-c", "from harness.cli import main; main()"), "llama-orch", words[1:])
    elif program.startswith("python") and tuple(words[1:2]) == ("-m",):
        if words[2] == "pytest":
            yield from _unknown_marks(words[3:])
        else:
            yield from _unknown(root, ("-m", words[2]), f"python -m {words[2]}", words[3:])
    elif program not in OF_THE_MACHINE:
        yield f"no program that a reader has or gets here: {words[0]}"
    yield from (f"no such file: {word}" for word in words[1:] if _is_ours(root, word) and not (root / word).exists())


def _block(block: str, line: int) -> Iterator[Command]:
    kept, first = "", line
    for number, part in enumerate(block.splitlines(), line):
        kept, first = (f"{kept}\n{part}", first) if kept else (part, number)
        try:
            shlex.split(kept, comments=True)
        except ValueError:  # a quote is still open
            continue
        if kept.endswith("\\"):
            kept = kept[:-1]
            continue
        if shlex.split(kept, comments=True):
            yield _command(first, kept)
        kept = ""
    if kept:
        yield Command(first, ("an-open-quote",), kept)


def _command(line: int, text: str) -> Command:
    words = shlex.split(text, comments=True)
    while words and ASSIGNMENT.match(words[0]):
        words.pop(0)
    return Command(line, tuple(words), text)


def _unknown(root: Path, start: tuple[str, ...], name: str, words: Sequence[str]) -> Iterator[str]:
    """Walk down the verbs; an option belongs to the verb before it, or to one above."""
    verbs: tuple[str, ...] = ()
    told = _help(root, start, verbs)
    known = told
    if not told:
        yield f"{name} --help does not work"
        return
    before = ""
    for word in words:
        listed = _verbs(told)
        if word.startswith("-"):
            option = word.partition("=")[0]
            if not re.search(rf"(?<![\w-]){re.escape(option)}(?![\w-])", known):
                yield f"{' '.join((name, *verbs))} has no option {option}"
        elif listed and word in listed:
            verbs = (*verbs, word)
            told = _help(root, start, verbs)
            known += told
        elif listed and not before.startswith("-"):  # after an option it may be that one's value
            yield f"{' '.join((name, *verbs))} has no verb {word}"
            return
        before = word


@functools.cache
def _help(root: Path, start: tuple[str, ...], verbs: tuple[str, ...]) -> str:
    line = [sys.executable, *start, *verbs, "--help"]
    done = subprocess.run(line, cwd=root, capture_output=True, text=True, check=False, timeout=HELP_S)
    return done.stdout if done.returncode == 0 else ""


def _verbs(told: str) -> frozenset[str]:
    _, _, after = told.partition("\nCommands:\n")
    if not after and "positional arguments:" in told:
        after = told.partition("positional arguments:")[2].partition("\noptions:")[0]
    return frozenset(LISTED_VERB.findall(after))


def _unknown_marks(words: Sequence[str]) -> Iterator[str]:
    from harness.pytest_plugin import MARKS

    marks = {mark.partition(":")[0].partition("(")[0] for mark in MARKS}
    for option, expression in itertools.pairwise(words):
        if option == "-m":
            named = set(re.findall(r"\w+", expression)) - {"not", "and", "or"}
            yield from (f"no such mark: {mark}" for mark in sorted(named - marks))


def _is_ours(root: Path, word: str) -> bool:
    return "/" in word and "://" not in word and (root / word.partition("/")[0]).is_dir()
