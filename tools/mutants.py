"""Mutants of the domain: mutmut changes its code in one place at a time, and the domain's own tests have to notice.

What no test notices is a survivor. Each has to stand in `survivors.diff` with the reason why no test kills it, and
nothing else may stand there. The run works on a copy, and leaves out the tests that take seconds (`LEFT_OUT`): what
random histories find, an example has to find as well.

Source: OC-TEST-7045.
"""

import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

PACKAGE = "reference_server.domain"
SURVIVORS = Path("tools/survivors.diff")
LEFT_OUT = (
    "reference_server/domain/tests/test_core_machine.py",
    "reference_server/domain/tests/test_task_queue.py::TestQueue",
)
SCORE_MIN = 90.0
EXIT_PASS, EXIT_FAIL, EXIT_COULD_NOT_RUN = 0, 1, 3
KILLED = frozenset({"killed", "timeout"})
JUDGED = KILLED | {"survived", "no tests", "suspicious", "segfault"}
NAME = re.compile(r"^(?P<module>.*)\.x(?:ǁ(?P<owner>\w+)ǁ|_)(?P<function>\w+)__mutmut_\d+$")
SETTINGS = """\
[mutmut]
source_paths = {source}
do_not_mutate = */tests/*
pytest_add_cli_args_test_selection =
    {tests}
pytest_add_cli_args =
    -p
    no:cacheprovider
    -p
    _hypothesis_pytestplugin
    --hypothesis-profile=ci
[tool:pytest]
addopts = --import-mode=importlib
markers = req: the requirements that a test checks
"""


class NoVerdictError(Exception):
    """mutmut failed, or left mutants untried; with what it said."""


@dataclass(frozen=True, slots=True, order=True)
class Mutant:
    """One change, named by what it changes: a number would shift with every edit above it.

    Attributes:
        function: with its module and class, below the package.
        change: the lines of its difference, each with its sign and without its indentation.
    """

    function: str
    change: tuple[str, ...]

    def __str__(self) -> str:
        return "\n".join([f"@@ {self.function} @@", *self.change])


@dataclass(frozen=True, slots=True)
class Found:
    """What a run came to.

    Attributes:
        total: mutants that were tried.
        killed: how many of them a test noticed.
    """

    total: int
    killed: int
    survivors: frozenset[Mutant]

    @property
    def score(self) -> float:
        """Percent."""
        return 100 * self.killed / self.total if self.total else 0.0


def check(
    root: Path,
    *,
    json_file: Path | None,
    say: Callable[[str], None],
    package: str = PACKAGE,
    modules: Sequence[str] = (),
    left_out: Sequence[str] = LEFT_OUT,
    listed_in: Path = SURVIVORS,
) -> int:
    """Try all mutants of a package, or of these of its modules.

    Args:
        listed_in: the survivors and their reasons; from the root.

    Returns:
        The exit code: 1 below the score, for a survivor without a reason and for a reason without a survivor; 3 when
        mutmut came to no verdict.
    """
    listed = read((root / listed_in).read_text("utf-8"))
    if modules:
        listed = {mutant: why for mutant, why in listed.items() if mutant.function.partition(".")[0] in modules}
    with tempfile.TemporaryDirectory() as folder:
        copied(root, Path(folder), package, left_out)
        try:
            found = tried(Path(folder), package, modules)
        except NoVerdictError as error:
            say(f"no verdict: {error}")
            return EXIT_COULD_NOT_RUN
    unlisted, stale = sorted(found.survivors - listed.keys()), sorted(listed.keys() - found.survivors)
    for title, mutants in (("survivors without a reason", unlisted), ("listed, and no survivors", stale)):
        if mutants:
            say(f"{title} ({listed_in}):\n" + "\n".join(map(str, mutants)))
    if found.score < SCORE_MIN:
        say(f"the score is below {SCORE_MIN:g} %")
    say(
        f"{found.total} mutants, {found.killed} killed, score {found.score:.2f} %, {len(found.survivors)} changes "
        f"survive, {len(unlisted)} of them without a reason, {len(stale)} listed that do not"
    )
    if json_file is not None:
        json_file.write_text(json.dumps(_told(found, listed, stale), indent=2) + "\n", encoding="utf-8")
    return EXIT_FAIL if unlisted or stale or found.score < SCORE_MIN else EXIT_PASS


def copied(root: Path, folder: Path, package: str, left_out: Iterable[str]) -> None:
    """Put the package alone into a folder, with what mutmut and pytest have to know."""
    parts = package.split(".")
    for depth in range(1, len(parts)):
        parent = Path(*parts[:depth])
        (folder / parent).mkdir()
        shutil.copy(root / parent / "__init__.py", folder / parent)
    source = Path(*parts)
    shutil.copytree(root / source, folder / source, ignore=shutil.ignore_patterns("__pycache__"))
    tests = "\n    ".join([str(source), *(f"--deselect={name}" for name in left_out)])
    (folder / "setup.cfg").write_text(SETTINGS.format(source=parts[0], tests=tests), encoding="utf-8")


def tried(folder: Path, package: str, modules: Sequence[str]) -> Found:
    """Run mutmut over the copy.

    Raises:
        NoVerdictError: mutmut failed, or left mutants untried.
    """
    wanted = [f"{package}.{module}.*" for module in modules]
    _mutmut(folder, "run", *wanted)
    verdicts = dict(
        line.strip().rsplit(": ", 1)
        for line in _mutmut(folder, "results", "--all", "true").splitlines()
        if ": " in line
    )
    judged = {name: verdict for name, verdict in verdicts.items() if verdict != "not checked" or not modules}
    untried = [name for name, verdict in judged.items() if verdict not in JUDGED]
    if untried or not judged:
        raise NoVerdictError(f"{len(untried)} of {len(judged)} mutants were not tried")
    alive = [name for name, verdict in judged.items() if verdict not in KILLED]
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        shown = pool.map(lambda name: _mutmut(folder, "show", name), alive)
        survivors = {mutant(name, difference, package) for name, difference in zip(alive, shown, strict=True)}
    return Found(len(judged), len(judged) - len(alive), frozenset(survivors))


def mutant(name: str, difference: str, package: str) -> Mutant:
    """What mutmut calls by this name and shows so."""
    parts = NAME.match(name)
    if parts is None:
        raise ValueError(f"a name that mutmut does not give: {name}")
    module = parts["module"].removeprefix(f"{package}.")
    function = ".".join(filter(None, (module, parts["owner"], parts["function"])))
    lines = (line for line in difference.splitlines() if line[:1] in {"-", "+"} and line[:3] not in {"---", "+++"})
    return Mutant(function, tuple(f"{line[0]} {line[1:].strip()}" for line in lines))


def read(text: str) -> Mapping[Mutant, str]:
    """The survivors of a file, with their reasons: a line with `#` is the reason of all below it, up to the next."""
    reason, blocks = "", list[tuple[str, str, list[str]]]()
    for line in text.splitlines():
        match line[:2]:
            case "# ":
                reason = line[2:]
            case "@@":
                blocks.append((line.strip("@ "), reason, []))
            case "- " | "+ ":
                blocks[-1][2].append(line)
            case _:
                continue
    return {Mutant(function, tuple(change)): why for function, why, change in blocks}


def _told(found: Found, listed: Mapping[Mutant, str], stale: Collection[Mutant]) -> Mapping[str, object]:
    return {
        "mutants": found.total,
        "killed": found.killed,
        "score": round(found.score, 2),
        "survivors": [
            {"function": one.function, "change": one.change, "reason": listed.get(one)}
            for one in sorted(found.survivors)
        ],
        "stale": [{"function": one.function, "change": one.change} for one in stale],
    }


def _mutmut(folder: Path, *arguments: str) -> str:
    done = subprocess.run(
        [sys.executable, "-m", "mutmut", *arguments],
        cwd=folder,
        env={**os.environ, "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"},
        check=False,
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    )
    if done.returncode != 0:
        raise NoVerdictError(f"mutmut {' '.join(arguments)}: {done.stdout[-3_000:]}")
    return done.stdout
