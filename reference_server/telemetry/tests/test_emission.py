"""A starting pool shows itself in metrics and log, or says what does not come."""

import threading
from collections.abc import Callable
from types import SimpleNamespace

import pytest

from reference_server.domain.tests.builders import core
from reference_server.engines.base import Usage
from reference_server.telemetry.emission import why_not_emitted
from reference_server.telemetry.log import Lines
from reference_server.telemetry.metrics import Metrics


class Disk:
    """Takes all, or has no room."""

    def __init__(self, *, is_full: bool = False) -> None:
        self.is_full = is_full

    def write(self, _data: bytes) -> None:
        """One write."""
        if self.is_full:
            raise OSError(28, "No space left on device")


def stuck(_data: bytes) -> None:
    """A pipe that nobody reads."""
    threading.Event().wait()


def of_the_pool() -> Metrics:
    return Metrics(core(), usage=lambda _pool, _replica: Usage(), engine_connections=lambda: 0)


@pytest.mark.req("ORCH-3049")
@pytest.mark.parametrize(
    ("write", "pool_id", "why"),
    [
        pytest.param(Disk().write, "p", None, id="both-come"),
        pytest.param(
            Disk(is_full=True).write, "p", "the log cannot be written: [Errno 28] No space left on device", id="no-log"
        ),
        pytest.param(stuck, "p", "the log took nothing for 0 s", id="log-stands-still"),
        pytest.param(Disk().write, "q", "the metrics have no series of pool q", id="no-metrics"),
    ],
)
async def test_what_does_not_come_is_named(
    monkeypatch: pytest.MonkeyPatch, write: Callable[[bytes], None], pool_id: str, why: str | None
) -> None:
    lines, events = Lines(write), list[str]()
    monkeypatch.setattr("reference_server.telemetry.emission.LINES", lines)
    monkeypatch.setattr("reference_server.telemetry.emission.LOG_LIMIT_S", 0.1 if write is stuck else 10)

    def info(event: str, **_: object) -> None:
        events.append(event)
        lines.msg(event.encode())

    monkeypatch.setattr("structlog.get_logger", lambda: SimpleNamespace(info=info))

    assert why == await why_not_emitted(of_the_pool(), pool_id, "r0")
    assert events == ([] if pool_id == "q" else ["self-test"])


@pytest.mark.req("ORCH-3049")
def test_a_log_that_can_be_written_again_is_no_reason_any_more() -> None:
    disk = Disk()
    lines = Lines(disk.write)
    for disk.is_full in (True, False):
        lines.msg(b"{}")
        assert lines.flush(10)
        assert disk.is_full == (lines.last_error is not None)
