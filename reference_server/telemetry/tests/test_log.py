"""Lines of what is no task's."""

import pytest
from structlog.testing import capture_logs

from reference_server.domain.effects import SheddingChanged
from reference_server.domain.tests import builders
from reference_server.telemetry.log import TaskLog


@pytest.mark.req("ORCH-3040")
@pytest.mark.parametrize(
    ("is_shedding", "level", "event"),
    [
        pytest.param(True, "warning", "pool sheds batch tasks: its service level objective is missed", id="begins"),
        pytest.param(False, "info", "pool sheds no tasks any more", id="ends"),
    ],
)
def test_shedding_is_logged_when_it_begins_and_ends(is_shedding: bool, level: str, event: str) -> None:
    with capture_logs() as lines:
        TaskLog(builders.core()).observe(SheddingChanged("p", is_shedding), 0)

    assert [{"pool_id": "p", "log_level": level, "event": event}] == lines
