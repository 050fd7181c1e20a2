"""No test waits for a length of time, and none is run again until it passes.

A pause is a wait for an event where it stands in a loop that looks for one: `while not there: sleep(…)`. A pause of
zero is a turn of the event loop. What else sleeps is listed in `PAUSES`, with what the pause is there for.
"""

import ast
import re
from collections.abc import Iterable, Iterator
from pathlib import Path

import pytest

from tools import lock, tree

ROOT = Path(__file__).resolve().parents[2]
JUDGES = {"harness", "features", "determinism", "chaos"}
PAUSES = {  # by module and function: what the pause is there for
    "chaos/faults/delay.py carry": "the fault: a piece comes late",
    "chaos/faults/stuck_drain.py _catch": "the next of a few tries to stop an engine in the middle of its work",
    "chaos/run.py deal": "the schedule, drawn from the seed: how long after the last fault, and how long it lasts",
    "chaos/run.py _load": "a run without faults lasts as long as it was told to",
    "contracts/client/tests/test_streams.py waits": "no pause: what stands in for the sleep, and notes its length",
    "harness/engines/stand_in.py _stream": "the scripted engine's pace",
    "harness/metrics_lint/cli.py _texts": "what the user asked for: a second look after so long",
    "harness/saboteur/connection.py _pass_frames": "the defect: a frame comes late",
    "harness/saboteur/connection.py _send": "the defect: an answer comes late",
    "harness/tests/test_lateness.py test_the_ticker_counts_what_it_overslept": "the subject: a sleep that is late",
    "reference_server/runtime/tests/test_last_words.py lost": "the stand-in: it dies a little after its answer broke",
    "reference_server/runtime/tests/test_orchestrator.py "
    "test_the_watchdog_does_not_blame_an_engine_for_a_standstill_of_the_server": "the subject: the loop stands still",
}
RERUN = re.compile(r"rerun|flaky|pytest.retry")  # every plugin that runs a failed test again, its marks and options
RUNS = ("pyproject.toml", "harness/conform.ini", "Makefile", ".ci/run", ".github/workflows/*.yml", str(lock.LOCK))


def judging(root: Path) -> Iterator[Path]:
    """Every module that judges: the suites, and all tests."""
    for path in tree.files(root, {".py"}):
        parts = path.relative_to(root).parts
        if parts[0] in JUDGES or "tests" in parts:
            yield path


def pauses(source: str) -> Iterator[tuple[str, int]]:
    """Function and line of each sleep that no condition ends."""

    def look(node: ast.AST, function: str, *, is_poll: bool) -> Iterator[tuple[str, int]]:
        match node:
            case ast.FunctionDef(name=function) | ast.AsyncFunctionDef(name=function):
                is_poll = False
            case ast.Lambda():
                is_poll = False
            case ast.While(test=test):
                is_poll = not isinstance(test, ast.Constant)
            case ast.For() | ast.AsyncFor():
                is_poll = False
            case ast.Call(func=ast.Attribute(attr="sleep") | ast.Name(id="sleep"), args=[ast.Constant(value=0)]):
                return
            case ast.Attribute(attr="sleep", lineno=line) | ast.Name(id="sleep", lineno=line) if not is_poll:
                yield function, line
        for child in ast.iter_child_nodes(node):
            yield from look(child, function, is_poll=is_poll)

    if "sleep" in source:
        yield from look(ast.parse(source), "", is_poll=False)


@pytest.mark.req("OC-TEST-7006")
def test_every_wait_has_a_condition() -> None:
    paths = list(judging(ROOT))
    found = {
        f"{path.relative_to(ROOT)} {function}" for path in paths for function, _ in pauses(path.read_text("utf-8"))
    }

    assert len(paths) > 200
    assert set(PAUSES) == found


@pytest.mark.req("OC-TEST-7006")
@pytest.mark.parametrize(
    "body",
    [
        pytest.param("time.sleep(0.1)", id="sync"),
        pytest.param("await asyncio.sleep(0.1)", id="async"),
        pytest.param("sleep(pause)", id="by-name"),
        pytest.param("while True: time.sleep(0.1)", id="for-ever"),
        pytest.param("for _ in range(3): time.sleep(0.1)", id="so-many-times"),
        pytest.param("while not there:\n        for _ in range(3): time.sleep(0.1)", id="loop-in-a-poll"),
        pytest.param("patch(time.sleep)", id="handed-on"),
    ],
)
def test_a_pause_is_found(body: str) -> None:
    assert ["f"] == [function for function, _ in pauses(f"async def f():\n    {body}\n")]


@pytest.mark.parametrize("body", ["while not there: time.sleep(0.1)", "await asyncio.sleep(0)", "there.wait(5)"])
def test_a_wait_for_an_event_is_none(body: str) -> None:
    assert [] == list(pauses(f"async def f():\n    {body}\n"))


def reruns(root: Path, plugins: Iterable[str]) -> list[str]:
    """Where something would run a failed test again."""
    found = [path for run in RUNS for path in sorted(root.glob(run))]
    texts = {str(path.relative_to(root)): path.read_text("utf-8") for path in found} | {"plugins": " ".join(plugins)}
    return [name for name, text in texts.items() if RERUN.search(text)]


def plugins_of(config: pytest.Config) -> list[str]:
    """The installed plugins that run here."""
    return [found.metadata["Name"] for _, found in config.pluginmanager.list_plugin_distinfo()]


@pytest.mark.req("OC-TEST-7006")
def test_nothing_runs_a_failed_test_again(pytestconfig: pytest.Config) -> None:
    plugins = plugins_of(pytestconfig)

    assert "pytest-bdd" in plugins
    assert [] == reruns(ROOT, plugins)


@pytest.mark.req("OC-TEST-7006")
@pytest.mark.parametrize(
    ("name", "planted"),
    [
        pytest.param("pyproject.toml", 'markers = ["flaky: may fail"]\n', id="mark"),
        pytest.param("Makefile", "\t$(BIN)/python -m pytest --reruns 2\n", id="option"),
        pytest.param(str(lock.LOCK), "pytest-rerunfailures==16.1\n", id="plugin"),
        pytest.param(".github/workflows/new.yml", "run: pytest --force-flaky\n", id="workflow"),
    ],
)
def test_a_rerun_is_found(tmp_path: Path, name: str, planted: str) -> None:
    (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
    (tmp_path / name).write_text(planted)

    assert [name] == reruns(tmp_path, ["pytest-bdd"])
    assert [name, "plugins"] == reruns(tmp_path, ["pytest-rerunfailures"])
