"""A starting pool shows itself in metrics and log, or says what does not come."""

import threading
from types import SimpleNamespace

import pytest

from reference_server.domain.tests.builders import core
from reference_server.engines.base import Usage
from reference_server.telemetry.emission import why_not_emitted
from reference_server.telemetry.log import Lines
from reference_server.telemetry.metrics import Metrics


class Disk:
    """Takes all, or has no room, or stands still."""

    def __init__(self, *, is_full: bool = False, is_stuck: bool = False) -> None:
        self.is_full, self.is_stuck = is_full, is_stuck
        self.written = b""

    def write(self, data: bytes) -> None:
        """One write."""
        if self.is_stuck:
            threading.Event().wait()
        if self.is_full:
            raise OSError(28, "No space left on device")
        self.written += data


def of_the_pool() -> Metrics:
    return Metrics(core(), usage=lambda _pool, _replica: Usage(), engine_connections=lambda: 0)


@pytest.mark.req("ORCH-3049")
@pytest.mark.parametrize(
    ("disk", "pool_id", "why"),
    [
        pytest.param(Disk(), "p", None, id="both-come"),
        pytest.param(
            Disk(is_full=True), "p", "the log cannot be written: [Errno 28] No space left on device", id="no-log"
        ),
        pytest.param(Disk(is_stuck=True), "p", "the log took nothing for 0 s", id="log-stands-still"),
        pytest.param(Disk(), "q", "the metrics have no series of pool q", id="no-metrics"),
    ],
)
async def test_what_does_not_come_is_named(
    monkeypatch: pytest.MonkeyPatch, disk: Disk, pool_id: str, why: str | None
) -> None:
    lines = Lines(disk.write)
    monkeypatch.setattr("reference_server.telemetry.emission.LINES", lines)
    monkeypatch.setattr("reference_server.telemetry.emission.LOG_LIMIT_S", 0.1 if disk.is_stuck else 10)

    monkeypatch.setattr(
        "structlog.get_logger", lambda: SimpleNamespace(info=lambda event, **_: lines.msg(event.encode()))
    )

    assert why == await why_not_emitted(of_the_pool(), pool_id, "r0")
    assert (why is None) == (disk.written == b"self-test\n")


@pytest.mark.req("ORCH-3049")
def test_a_log_that_can_be_written_again_is_no_reason_any_more() -> None:
    disk = Disk()
    lines = Lines(disk.write)
    for disk.is_full in (True, False):
        lines.msg(b"{}")
        assert lines.flush(10)
        assert disk.is_full == (lines.last_error is not None)
