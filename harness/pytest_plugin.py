"""What every test run of this repository knows: requirement ids on tests, and the options of a conformance run.

Loaded with `-p harness.pytest_plugin`. Kept light: nothing heavy is imported before a scenario needs it.
"""

import inspect
from collections.abc import Callable
from typing import Any

import pytest

REQUIREMENT_TAG = ("ORCH-", "OC-", "HME-")

MARKS = (
    "req(*ids): the requirements that this test proves",
    "real_engine: needs a real engine; a stand-in does not claim it",
    "stand_in: needs an engine that fails on demand, which no real one does",
    "own_server: starts servers of its own; not applicable to a server given by --server-url",
    "slow: takes more than some seconds",
)


def pytest_addoption(parser: pytest.Parser) -> None:
    """The options of a conformance run."""
    group = parser.getgroup("orchqueue", "conformance of an OrchQueue server")
    group.addoption("--server-url", metavar="URL", help="judge the server at this URL instead of starting one")
    group.addoption("--req", metavar="ID", action="append", default=[], help="only what proves this requirement id")


def pytest_configure(config: pytest.Config) -> None:
    """Register the marks."""
    for mark in MARKS:
        config.addinivalue_line("markers", mark)


def pytest_bdd_apply_tag(tag: str, function: Callable[..., Any]) -> bool | None:
    """Turn a tag that is a requirement id into a `req` mark; other tags are marks of their own name."""
    if not tag.startswith(REQUIREMENT_TAG):
        return None
    pytest.mark.req(tag)(function)
    return True


def pytest_bdd_before_step_call(step: Any, step_func: Callable[..., Any]) -> None:
    """Refuse async steps: pytest-bdd would drop the coroutine and pass."""
    if inspect.iscoroutinefunction(step_func):
        raise pytest.UsageError(f"async step: {step.name}")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Keep what proves the wanted ids."""
    wanted = set(config.getoption("--req"))
    if not wanted:
        return
    kept = [item for item in items if wanted & requirement_ids(item)]
    config.hook.pytest_deselected(items=[item for item in items if item not in kept])
    items[:] = kept


def requirement_ids(item: pytest.Item) -> set[str]:
    """The ids of all `req` marks of a test, inherited ones included."""
    return {identifier for mark in item.iter_markers("req") for identifier in mark.args}
