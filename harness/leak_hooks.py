"""A session of tests that leaves a process behind fails, and names it; part of `harness.pytest_plugin`.

The session that was started first looks, once its workers are gone: their processes are its own. A conformance run is
looked after by whoever started it (`harness.conform`).

Source: OC-TEST-7047.
"""

from collections.abc import Generator
from contextlib import ExitStack

import pytest

from harness import leftovers

MARK = pytest.StashKey[str]()
LEFT = pytest.StashKey[list[leftovers.LeftBehind]]()


def pytest_configure(config: pytest.Config) -> None:
    """Mark everything that is started from here on."""
    if hasattr(config, "workerinput") or config.getoption("--events-fd") is not None:
        return
    stack = ExitStack()
    config.stash[MARK] = stack.enter_context(leftovers.marking())
    config.add_cleanup(stack.close)


@pytest.hookimpl(wrapper=True, trylast=True)
def pytest_sessionfinish(session: pytest.Session, exitstatus: int) -> Generator[None, object, object]:
    """Look for what is left when fixtures are torn down and workers gone; after an interruption only end it."""
    result = yield
    mark = session.config.stash.get(MARK, None)
    if mark is None:
        return result
    if exitstatus == pytest.ExitCode.INTERRUPTED:
        leftovers.end(mark)
        return result
    left = session.config.stash[LEFT] = leftovers.end(mark, leave_s=leftovers.LEAVE_S)
    if left and exitstatus in (pytest.ExitCode.OK, pytest.ExitCode.NO_TESTS_COLLECTED):
        session.exitstatus = pytest.ExitCode.TESTS_FAILED
    return result


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    """Name it, and the test that started it."""
    left = config.stash.get(LEFT, [])
    if not left:
        return
    terminalreporter.section("processes left behind, and ended", red=True, bold=True)
    for one in left:
        terminalreporter.write_line(str(one))
