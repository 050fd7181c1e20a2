"""How tasks end: an error and a cancel have counters of their own, and a good end moves neither."""

from typing import Literal

import pytest

from reference_server.domain.effects import StartDecode, StopDecode
from reference_server.domain.errors import Failure
from reference_server.domain.frames import Finish
from reference_server.domain.tests.builders import core, request
from reference_server.engines.base import Usage
from reference_server.telemetry.metrics import Metrics

LOST = Failure(code="WORKER_RESET", message="lost", retriable=True)
DONE = Finish(finish_reason="stop", tokens_in=3, tokens_out=2, kv_warm=True)


@pytest.mark.req("OC-CORE-1041")
@pytest.mark.parametrize(
    ("how", "counted"),
    [
        ("failed", {"tasks_failed_total": "WORKER_RESET"}),
        ("canceled", {"tasks_canceled_total": "client"}),
        ("ended", {}),
    ],
)
def test_each_end_moves_its_own_counter(how: Literal["failed", "canceled", "ended"], counted: dict[str, str]) -> None:
    subject = core()
    subject.submit(request("a"), tokens_in=3, now_ms=0)
    match how:
        case "failed":
            subject.fail("a", LOST, 1)
        case "canceled":
            subject.cancel("a", "client", 1)
        case "ended":
            subject.finish("a", DONE, 1)
    metrics = Metrics(subject, usage=lambda _pool, _replica: Usage(), engine_connections=lambda: 0)
    for effect in subject.take_effects():
        if not isinstance(effect, (StartDecode, StopDecode)):
            metrics.observe(effect, 1)

    ends = [s for family in metrics.registry.collect() for s in family.samples if "reason" in s.labels and s.value]
    assert counted == {sample.name: sample.labels["reason"] for sample in ends}
    assert all(1 == sample.value for sample in ends)
