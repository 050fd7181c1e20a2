"""Preloads, restarts and driver faults, each in a counter of its own."""

import pytest

from reference_server.domain.core import Core
from reference_server.domain.faults import Fault, FaultKind
from reference_server.domain.tests.builders import FACTS, core
from reference_server.engines.base import Usage
from reference_server.telemetry.metrics import Metrics


def observed(of: Core) -> dict[str, float]:
    """The samples that are not 0 after all that has happened, by name and last label."""
    metrics = Metrics(of, usage=lambda _pool, _replica: Usage(), engine_connections=lambda: 0)
    for effect in of.take_effects():
        metrics.observe(effect, 0)  # type: ignore[arg-type]  # no orders among them: no task was submitted
    return {
        f"{sample.name}/{list(sample.labels.values())[-1]}": sample.value
        for family in metrics.registry.collect()
        for sample in family.samples
        if sample.value and sample.name.startswith(("pool_", "driver_"))
    }


@pytest.mark.req("OC-POOL-3030")
def test_a_loss_and_the_way_back_are_counted_once_each() -> None:
    subject = core()
    subject.replica_lost("p", "r0", Fault("crashed", "died"), 0, jitter=0)
    subject.replica_restarted("p", "r0", 1)
    subject.replica_lost("p", "r0", Fault("not-ready", "too slow"), 2, jitter=0)
    subject.replica_restarted("p", "r0", 3)
    subject.replica_preloaded("p", "r0", FACTS, 4)

    assert {
        "pool_preloads_total/ok": 2,
        "pool_preloads_total/failed": 1,
        "pool_restarts_total/r0": 2,
    } == observed(subject)


@pytest.mark.req("OC-POOL-3030", "ORCH-3053")
@pytest.mark.parametrize("kind", ["cuda-error", "driver-reset", "ecc-error"])
def test_driver_faults_are_counted_apart(kind: FaultKind) -> None:
    subject = core()
    subject.replica_lost("p", "r0", Fault(kind, "the GPU"), 0, jitter=0)

    assert observed(subject)[f"driver_faults_total/{kind}"] == 1


@pytest.mark.req("ORCH-3053")
@pytest.mark.parametrize("kind", ["crashed", "vram-oom", "host-oom", "lost"])
def test_other_faults_are_no_driver_faults(kind: FaultKind) -> None:
    subject = core()
    subject.replica_lost("p", "r0", Fault(kind, "not the driver"), 0, jitter=0)

    assert not any(name.startswith("driver_faults") for name in observed(subject))


@pytest.mark.req("OC-POOL-3031")
def test_a_breaker_shows_from_its_opening_to_its_closing() -> None:
    subject = core()

    def shown() -> float | None:
        metrics = Metrics(subject, usage=lambda _pool, _replica: Usage(), engine_connections=lambda: 0)
        metrics.expose("text/plain")
        labels = {"engine": "llamacpp", "pool_id": "p", "replica_id": "r0"}
        return metrics.registry.get_sample_value("breaker_open", labels)

    seen = [shown()]
    for _ in range(5):
        subject.replica_failed("p", "r0", Fault("breaker", "errors"), 0)
    seen.append(shown())
    subject.replica_probing("p", "r0", 6_000)
    seen.append(shown())
    subject.replica_probed("p", "r0", 6_001)

    assert [0, 1, 1, 0] == [*seen, shown()]
