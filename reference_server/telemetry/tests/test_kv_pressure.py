"""The pressure on each replica's KV cache shows, as its engine tells it or by its slots."""

import pytest

from reference_server.domain.tests import builders
from reference_server.engines.base import Usage
from reference_server.telemetry.metrics import Metrics


@pytest.mark.req("ORCH-3022")
@pytest.mark.parametrize(
    ("told", "shown"), [(0.25, 0.25), (1.0, 1.0), (None, 0.5)], ids=["as told", "full", "by slots in use"]
)
def test_the_pressure_of_a_replica_shows(told: float | None, shown: float) -> None:
    subject = builders.core(slots=2)
    subject.submit(builders.request("a"), tokens_in=1, now_ms=0)
    metrics = Metrics(subject, usage=lambda _pool, _replica: Usage(kv_cache_ratio=told), engine_connections=lambda: 0)
    metrics.expose("text/plain")

    values = [s.value for f in metrics.registry.collect() for s in f.samples if s.name == "kv_cache_usage_ratio"]
    assert [shown] == values
