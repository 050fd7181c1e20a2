"""Whatever differs is found, whatever may differ is not."""

from dataclasses import replace

import pytest

from determinism.compare import (
    Divergence,
    compare,
    divergence,
    identities,
    prompts_that_ignore_the_seed,
    uncovered,
)
from determinism.recording import Conditions
from determinism.seeds import cases
from determinism.tests.streams import IDENTITY, TOKENS, both_replicas, recorded

CASE = cases()[0]
R0, R1 = Conditions(replica="r0"), Conditions(replica="r1")


@pytest.mark.req("OC-TEST-7001")
def test_equal_streams_are_equal() -> None:
    assert [] == compare(both_replicas())


@pytest.mark.req("OC-TEST-7006", "OC-TEST-7001", "ORCH-3045")
@pytest.mark.parametrize("index", [0, 1, 15, TOKENS - 2, TOKENS - 1])
def test_one_token_flipped_in_one_of_64_seeds_is_found_whichever_seed_it_is(index: int) -> None:
    good = both_replicas()

    for position in range(len(good)):
        bad = [*good[:position], good[position].flipped(index, " other"), *good[position + 1 :]]
        (found,) = compare(bad)
        assert (good[position].case, index) == (found.case, found.at.index)


@pytest.mark.req("OC-TEST-7006", "OC-TEST-7001")
@pytest.mark.parametrize(
    "change",
    [
        pytest.param({"pieces": recorded(CASE, R0).pieces[:-1]}, id="a-token-less"),
        pytest.param({"pieces": (*recorded(CASE, R0).pieces, "")}, id="an-empty-piece-more"),
        pytest.param({"pieces": ("".join(recorded(CASE, R0).pieces[:2]), *recorded(CASE, R0).pieces[2:])}, id="cut"),
        pytest.param({"tokens_out": TOKENS + 1}, id="another-count"),
        pytest.param({"finish": "stop"}, id="another-end"),
        pytest.param({"pieces": tuple(p.replace("0", "O") for p in recorded(CASE, R0).pieces)}, id="look-alike"),
    ],
)
def test_streams_of_one_path_are_equal_in_everything(change: dict[str, object]) -> None:
    one = recorded(CASE, R0)

    assert divergence(one, replace(recorded(CASE, R1), **change)) is not None  # type: ignore[arg-type]


@pytest.mark.req("OC-TEST-7067")
@pytest.mark.parametrize(
    ("change", "is_equal"),
    [
        pytest.param({}, True, id="nothing"),
        pytest.param({"pieces": ("", "ab", "c")}, True, id="joined"),
        pytest.param({"pieces": ("", "ab", "d")}, False, id="another-text"),
        pytest.param({"tokens_out": TOKENS + 1}, False, id="another-count"),
        pytest.param({"finish": "stop"}, False, id="another-end"),
    ],
)
def test_of_an_engine_that_joins_tokens_the_text_the_count_and_the_end_are_equal(
    change: dict[str, object], *, is_equal: bool
) -> None:
    one = replace(recorded(CASE, R0, identity=replace(IDENTITY, engine="vllm")), pieces=("a", "b", "c"))
    other = replace(one, under=R1, **change)  # type: ignore[arg-type]

    assert is_equal == (divergence(one, other) is None)


def test_across_paths_the_bytes_count_and_not_where_they_are_cut() -> None:
    one = recorded(CASE, R0)
    whole = replace(one, pieces=(one.text,), under=Conditions(path="direct"))

    assert divergence(one, whole) is None
    found = divergence(one, replace(whole, pieces=(one.text[:-1] + "x",)))
    assert found is not None
    assert (TOKENS - 1, len("".join(one.pieces[:-1]))) == (found.index, found.offset)


def test_the_offset_is_where_the_token_begins_although_the_tokens_begin_alike() -> None:
    one = recorded(CASE, R0)

    found = divergence(one, one.flipped(3, one.pieces[3] + "x"))

    assert Divergence(3, len("".join(one.pieces[:3])), one.pieces[3], one.pieces[3] + "x") == found


@pytest.mark.req("ORCH-3047", "OC-CORE-1032")
@pytest.mark.parametrize(
    "other",
    [
        pytest.param(replace(IDENTITY, engine_version="b2"), id="engine"),
        pytest.param(replace(IDENTITY, model_digest="sha256:01"), id="model"),
        pytest.param(replace(IDENTITY, sampler_profile_version="v2"), id="sampler"),
    ],
)
def test_streams_of_another_engine_or_model_are_never_compared(other: object) -> None:
    streams = [recorded(CASE, R0), recorded(CASE, R1, identity=other, text="all else")]  # type: ignore[arg-type]

    assert [] == compare(streams)
    assert 2 == len(identities(streams))


def test_what_most_streams_are_is_expected() -> None:
    odd, even = recorded(CASE, R0, text="odd"), recorded(CASE, R1)

    (found,) = compare([odd, even, replace(even, under=Conditions(replica="r2"))])

    assert (even, odd) == (found.expected, found.actual)


@pytest.mark.req("OC-TEST-7006")
def test_a_seed_that_is_ignored_is_noticed() -> None:
    ignoring = [recorded(case, R0, text=f"prompt {case.prompt}") for case in cases()]

    assert set(range(8)) == prompts_that_ignore_the_seed(ignoring)
    assert set() == prompts_that_ignore_the_seed(both_replicas())
    assert {3} == prompts_that_ignore_the_seed([r for r in ignoring if r.case.prompt == 3] + both_replicas()[:6])


@pytest.mark.req("OC-TEST-7006")
def test_a_pair_of_seed_and_replica_without_a_stream_is_noticed() -> None:
    streams = both_replicas()

    assert {(streams[5].case.seed, "r1")} == uncovered(streams[:5] + streams[6:], cases(), ["r0", "r1"])
