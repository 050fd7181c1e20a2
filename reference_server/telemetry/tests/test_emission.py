"""A starting pool shows itself in metrics and log, or says what does not come."""

import io
import sys
from types import SimpleNamespace

import pytest

from reference_server.domain.tests.builders import core
from reference_server.engines.base import Usage
from reference_server.telemetry.emission import why_not_emitted
from reference_server.telemetry.log import Lines
from reference_server.telemetry.metrics import Metrics


class Full(io.BytesIO):
    """A disk without room."""

    def write(self, data: object) -> int:
        """Refuse."""
        raise OSError(28, "No space left on device")


def of_the_pool() -> Metrics:
    return Metrics(core(), usage=lambda _pool, _replica: Usage(), engine_connections=lambda: 0)


@pytest.mark.req("ORCH-3049")
@pytest.mark.parametrize(
    ("stream", "pool_id", "why"),
    [
        pytest.param(io.BytesIO, "p", None, id="both-come"),
        pytest.param(Full, "p", "the log cannot be written: [Errno 28] No space left on device", id="no-log"),
        pytest.param(io.BytesIO, "q", "the metrics have no series of pool q", id="no-metrics"),
    ],
)
def test_what_does_not_come_is_named(
    monkeypatch: pytest.MonkeyPatch, stream: type[io.BytesIO], pool_id: str, why: str | None
) -> None:
    written = stream()
    monkeypatch.setattr(sys, "stderr", SimpleNamespace(buffer=written))
    lines = Lines()
    monkeypatch.setattr("reference_server.telemetry.emission.LINES", lines)
    monkeypatch.setattr(
        "reference_server.telemetry.emission.structlog.get_logger",
        lambda: SimpleNamespace(info=lambda event, **_: lines.msg(event.encode())),
    )

    assert why == why_not_emitted(of_the_pool(), pool_id, "r0")
    assert (why is None) == (written.getvalue() == b"self-test\n")


@pytest.mark.req("ORCH-3049")
def test_a_log_that_can_be_written_again_is_no_reason_any_more(monkeypatch: pytest.MonkeyPatch) -> None:
    lines = Lines()
    for stream, is_written in ((Full(), False), (io.BytesIO(), True)):
        monkeypatch.setattr(sys, "stderr", SimpleNamespace(buffer=stream))
        lines.msg(b"{}")
        assert is_written == (lines.last_error is None)
