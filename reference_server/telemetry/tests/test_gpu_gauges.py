"""The GPUs of each replica's mask, and no others, show in its gauges."""

import pytest

from reference_server.domain.tests import builders
from reference_server.domain.tests.test_devices import BIG, GPUS
from reference_server.engines.base import Usage
from reference_server.telemetry.metrics import Metrics


@pytest.mark.req("ORCH-3028")
def test_a_replica_shows_the_devices_of_its_mask() -> None:
    watched = builders.pool(replicas=2)
    watched.replicas["r1"].mask = BIG
    subject = builders.core(watched)
    watched.see_gpus(GPUS)
    metrics = Metrics(subject, usage=lambda _pool, _replica: Usage(), engine_connections=lambda: 0)
    metrics.expose("text/plain")

    shown = {
        (sample.name, sample.labels["replica_id"], sample.labels["device"]): sample.value
        for family in metrics.registry.collect()
        for sample in family.samples
        if sample.name in {"gpu_utilization", "vram_used_bytes"}
    }
    assert {("gpu_utilization", "r1", "0"): 12.0, ("vram_used_bytes", "r1", "0"): 1288490188.0} == shown
