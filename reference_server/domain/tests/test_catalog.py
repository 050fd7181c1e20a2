from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reference_server.domain import catalog as module
from reference_server.domain.catalog import Catalog, Entry, Model, TrustPolicy, unload_at_ms, untrusted, verify
from reference_server.domain.core import Core
from reference_server.domain.effects import PoolChanged
from reference_server.domain.errors import Failure, RefusedError
from reference_server.domain.replica import ReplicaFacts
from reference_server.domain.tests import builders

DIGEST, OTHER = "sha256:" + "a" * 64, "sha256:" + "b" * 64


def entry(source: str | None = None, **changes: Any) -> Entry:
    return replace(Entry(id="m", digest=DIGEST, body=b"{}", source_url=source), **changes)


def strict(*allowed: str) -> TrustPolicy:
    return TrustPolicy(mode="strict", allowed_registries=allowed)


@pytest.mark.req("ORCH-3066")
@pytest.mark.parametrize(
    ("source", "allowed", "is_allowed"),
    [
        ("https://models.example/a.gguf", "models.example", True),
        ("https://MODELS.example/a.gguf", "models.example", True),
        ("https://models.example/a.gguf", "https://models.example", True),
        ("https://models.example/a.gguf", "https://models.example/", True),
        ("https://models.example.evil/a.gguf", "models.example", False),
        ("https://models.example.evil/a.gguf", "https://models.example", False),
        ("https://models.example:x@evil/a.gguf", "https://models.example", False),
        ("https://models.example@evil/a.gguf", "https://models.example", False),
        ("hf:org/repo", "hf:org", True),
        ("hf:organised/repo", "hf:org", False),
        ("hf:org/repo", "hf:", True),
        ("hf:org/repo", "s3:", False),
        ("models/a.gguf", "models", False),
        ("file:/models/a.gguf", "file:/models", True),
        ("file:/models/../etc/passwd", "file:/models", False),
        ("file:/models/%2e%2e/etc/passwd", "file:/models", False),
        ("file:/models\\..\\etc", "file:/models", False),
        ("file:/models/a\\..\\..\\etc", "file:/models", False),
        ("https://[broken", "https://", False),
        (None, "hf:", False),
    ],
)
def test_a_strict_policy_takes_only_sources_of_its_registries(
    source: str | None, allowed: str, is_allowed: bool
) -> None:
    assert is_allowed == (untrusted(entry(source, policy=strict(allowed))) is None)


@pytest.mark.req("ORCH-3066")
@given(host=st.from_regex(r"[a-z]{1,8}(\.[a-z]{2,5}){1,2}", fullmatch=True), tail=st.text(max_size=12))
def test_no_source_on_another_host_is_let_in(host: str, tail: str) -> None:
    policy = strict(host, f"https://{host}")

    assert untrusted(entry(f"https://evil.invalid/{tail}", policy=policy)) is not None


@pytest.mark.req("ORCH-3063")
def test_what_a_policy_requires_is_required_of_the_registration() -> None:
    wants_signature = TrustPolicy(require_signature=True)
    wants_sbom = TrustPolicy(require_sbom=True)

    assert [
        "the trust policy requires a verified signature, and the entry has none",
        "the trust policy requires an SBOM, and the entry has none",
        "under a strict trust policy the source_url must lie in one of the allowed_registries",
    ] == [untrusted(entry(policy=policy)) for policy in (wants_signature, wants_sbom, strict())]
    assert untrusted(entry(policy=wants_signature, is_signed=True)) is None
    assert untrusted(entry(policy=wants_sbom, has_sbom=True)) is None


@pytest.mark.req("ORCH-3062", "ORCH-3065")
@pytest.mark.parametrize(
    ("policy", "is_signed", "has_sbom", "found", "outcome"),
    [
        (TrustPolicy(), True, True, [DIGEST], ("verified", "none")),
        (TrustPolicy(), False, True, [DIGEST], ("warned", "signature-missing")),
        (TrustPolicy(), True, False, [DIGEST], ("warned", "sbom-missing")),
        (TrustPolicy(), True, True, [], ("pending", "not-here")),
        (TrustPolicy(), False, False, [], ("pending", "not-here")),
        (TrustPolicy(), True, True, [DIGEST, OTHER], ("failed", "digest-mismatch")),
        (strict(), True, True, [DIGEST], ("verified", "none")),
        (strict(), False, True, [DIGEST], ("failed", "signature-missing")),
        (strict(), True, False, [], ("failed", "sbom-missing")),
    ],
)
def test_verification(
    policy: TrustPolicy, is_signed: bool, has_sbom: bool, found: list[str], outcome: tuple[str, str]
) -> None:
    verdict = verify(entry(policy=policy, is_signed=is_signed, has_sbom=has_sbom), found)

    assert outcome == (verdict.status, verdict.reason)
    said = {
        f"the weights have {OTHER}, and the entry says {DIGEST}": OTHER in found,
        "no verified signature": not is_signed,
        "no SBOM": not has_sbom,
        "the weights are not on this host yet": not found,
    }
    assert tuple(text for text, is_said in said.items() if is_said) == verdict.warnings


@pytest.mark.req("ORCH-3060")
def test_an_id_is_registered_once() -> None:
    catalog = Catalog()

    assert catalog.add(entry())
    assert not catalog.add(entry())
    message = "the id is registered with another content: delete it first, or choose another id"
    conflict = Failure(code="CONFLICT", message=message, retriable=False)
    assert conflict == refusal(lambda: catalog.add(entry(digest=OTHER)))
    assert [DIGEST] == [model.entry.digest for model in catalog]


@pytest.mark.req("ORCH-3060", "ORCH-3063")
def test_an_entry_that_is_not_trusted_is_stored_nowhere() -> None:
    catalog = Catalog()
    message = "the trust policy requires an SBOM, and the entry has none"
    untrusted = Failure(code="UNTRUSTED_ARTIFACT", message=message, retriable=False)

    assert untrusted == refusal(lambda: catalog.add(entry(policy=TrustPolicy(require_sbom=True))))
    assert catalog.get("m") is None


@pytest.mark.req("OC-CORE-1008")
def test_a_catalog_is_full_at_its_bound(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MODELS_MAX", 2)
    catalog = Catalog()
    full = Failure(code="CONFLICT", message="the catalog is full with 2 models: delete one first", retriable=False)

    assert [True, True] == [catalog.add(entry(id=name)) for name in "ab"]
    assert full == refusal(lambda: catalog.add(entry(id="c")))
    assert not catalog.add(entry(id="a"))
    catalog.remove("a")
    assert catalog.add(entry(id="c"))


@pytest.mark.req("ORCH-3093")
def test_the_digest_of_weights_is_known_by_id_and_by_source() -> None:
    catalog = Catalog()
    catalog.add(entry("hf:org/repo"))

    assert [DIGEST, DIGEST, None] == [catalog.digest_of(name) for name in ("m", "hf:org/repo", "other")]


def refusal(ask: Callable[[], object]) -> Failure:
    with pytest.raises(RefusedError) as caught:
        ask()
    return caught.value.failure


def core_of() -> Core:
    """A core whose one pool serves the model `m` of its catalog."""
    core = builders.core(slots=8)
    core.catalog.restore(Model(entry(source=next(iter(core.pools.values())).model_ref)))
    return core


def retire(core: Core, *, deadline_ms: int, now_ms: int = 0) -> None:
    model = core.catalog.get("m")
    assert model is not None
    core.set_model_state(model, "Retired", deadline_ms=deadline_ms, now_ms=now_ms)


def refused_code(core: Core, session_id: str, now_ms: int) -> str | None:
    try:
        core.submit(builders.request(f"{session_id}-{now_ms}", session_id=session_id), tokens_in=1, now_ms=now_ms)
    except RefusedError as refusal:
        return refusal.failure.code
    return None


@pytest.mark.req("ORCH-3070", "ORCH-3072", "ORCH-3073")
def test_a_retired_model_serves_the_sessions_it_has_until_its_deadline() -> None:
    core = core_of()
    assert refused_code(core, "old", 0) is None
    retire(core, deadline_ms=10_000)

    assert refusal(lambda: core.submit(builders.request("n", session_id="new"), tokens_in=1, now_ms=1)) == Failure(
        code="MODEL_DEPRECATED", message="model m is Retired and takes no new sessions", retriable=False
    )
    assert refused_code(core, "old", 1) is None
    assert refused_code(core, "old", 10_000) == "MODEL_DEPRECATED"

    model = core.catalog.get("m")
    assert model is not None
    core.set_model_state(model, "Active", deadline_ms=0, now_ms=2)
    assert refused_code(core, "new", 3) is None


@pytest.mark.req("ORCH-3071")
def test_the_pools_of_a_retired_model_are_drained_before_its_deadline() -> None:
    core = core_of()
    pool = next(iter(core.pools.values()))
    retire(core, deadline_ms=10_000)

    core.tick(8_999)
    assert not pool.draining
    core.tick(9_000)
    assert (pool.draining, pool.operation and pool.operation.phase) == (True, "drained")


@pytest.mark.req("ORCH-3071")
def test_a_pool_that_was_drained_already_is_unloaded_too() -> None:
    core = core_of()
    pool = next(iter(core.pools.values()))
    core.drain(pool.id, deadline_ms=0, now_ms=0)
    core.tick(1)
    core.take_effects()
    retire(core, deadline_ms=0, now_ms=2)
    core.tick(3)

    assert core.is_retired(pool, 3)
    assert ["drained"] == [e.phase for e in core.take_effects() if isinstance(e, PoolChanged) and e.phase == "drained"]


@pytest.mark.req("ORCH-3071")
@given(deadline_ms=st.integers(0, 2**63 - 1), now_ms=st.integers(0, 2**40))
def test_the_margin_never_makes_a_deadline_earlier_than_now(deadline_ms: int, now_ms: int) -> None:
    assert now_ms <= unload_at_ms(deadline_ms, now_ms) <= now_ms + deadline_ms


@pytest.mark.req("ORCH-3071")
@pytest.mark.parametrize(("deadline_ms", "at_ms"), [(10_000, 9_007), (4_000, 3_007), (2_003, 1_510), (0, 7)])
def test_the_margin_is_a_second_or_a_quarter(deadline_ms: int, at_ms: int) -> None:
    found = unload_at_ms(deadline_ms, 7)

    assert (at_ms, int) == (found, type(found))


@pytest.mark.req("ORCH-3093")
def test_weights_that_differ_from_the_catalog_never_become_ready() -> None:
    core = core_of()
    (pool,) = core.pools.values()
    (replica,) = pool.replicas.values()
    core.replica_unloaded(pool.id, replica.id)

    fault = core.replica_preloaded(pool.id, replica.id, ReplicaFacts("b1", OTHER, 4096, 1), 0)

    assert fault is not None
    assert fault.kind == "mismatch"
    assert DIGEST in fault.text
    assert not pool.is_ready
    assert core.replica_preloaded(pool.id, replica.id, ReplicaFacts("b1", DIGEST, 4096, 1), 0) is None
    assert pool.is_ready
