"""Each single factor is named when it is enough, the smallest first; near ties are told from what is none."""

from dataclasses import dataclass, replace

import pytest

from determinism.compare import Mismatch, compare
from determinism.explain import FACTORS, Gap, explain, gap_of
from determinism.recording import Conditions, Recording, Undecoded
from determinism.replay import Decoding
from determinism.seeds import Case, cases
from determinism.tests.streams import recorded
from harness.engines.direct import Candidate, Counters, Decoded, DirectEngine, Step

CASE = cases()[7]
BASE = Conditions(replica="r1")
CHANGED = {
    "run to run": replace(BASE, attempt=2),
    "warm cache": replace(BASE, cache="warm"),
    "siblings": replace(BASE, siblings=8),
    "replica": replace(BASE, replica="r0"),
    "path": Conditions(path="direct"),
    "engine restart": replace(BASE, life=2),
}


def mismatch() -> Mismatch:
    """Token 3 is not as on the other replica."""
    (found,) = compare([recorded(CASE, CHANGED["replica"]), recorded(CASE, BASE).flipped(3, " x")])
    return found


@dataclass
class FakeLab:
    """A world in which some factors flip a stream, and some cannot be arranged."""

    flipping: set[str]
    missing: tuple[str, ...] = ()

    def alternatives(self, base: Conditions, factor: str) -> Conditions | str:
        return "not here" if factor in self.missing else CHANGED[factor]

    def decode(self, case: Case, under: Conditions) -> Decoding:
        flips = any(under == CHANGED[factor] for factor in self.flipping)
        return recorded(case, under).flipped(3, " x") if flips else recorded(case, under)

    def engine(self) -> DirectEngine | None:
        return None


class FakeEngine:
    """Tells fixed candidates for the next token, and remembers what it was asked."""

    url = "http://fake"

    def __init__(self, *top: Candidate) -> None:
        self.top = top
        self.prompt: object = None

    def version(self) -> str:
        return "b1"

    def decode(self, prompt: object, **_: object) -> Decoded:
        self.prompt = prompt
        return Decoded("x", ("x",), (Step(self.top[0], self.top),), 1, 1, "length")

    def tokenize(self, prompt: str) -> list[int]:
        return [1]

    def counters(self) -> Counters:
        return Counters(0, 0)


@pytest.mark.req("OC-TEST-7060", "OC-TEST-7006")
@pytest.mark.parametrize("factor", FACTORS)
def test_the_one_factor_that_flips_a_stream_is_named(factor: str) -> None:
    assert factor == explain(mismatch(), FakeLab({factor})).smallest


@pytest.mark.req("OC-TEST-7060")
def test_the_smallest_of_several_is_named_and_larger_ones_are_not_tried() -> None:
    found = explain(mismatch(), FakeLab({"engine restart", "siblings", "replica"}))

    assert "siblings" == found.smallest
    assert [("run to run", False), ("warm cache", False), ("siblings", True)] == [
        (trial.factor, trial.flips) for trial in found.trials
    ]


@pytest.mark.req("OC-TEST-7060")
def test_when_nothing_flips_it_that_is_said() -> None:
    found = explain(mismatch(), FakeLab(set(), missing=("path",)))

    assert found.smallest is None
    assert "no single factor" in str(found)
    assert "path: not here" in str(found)


@pytest.mark.req("OC-TEST-7009")
def test_a_case_that_cannot_be_decoded_again_is_no_equal_stream() -> None:
    class Broken(FakeLab):
        def decode(self, case: Case, under: Conditions) -> Decoding:
            return Undecoded(case, under, "the server has gone")

    found = explain(mismatch(), Broken(set()))

    assert [None] == [trial.flips for trial in found.trials]
    assert "the server has gone" in str(found)


@pytest.mark.req("OC-TEST-7060")
def test_an_explanation_has_seed_index_both_texts_and_the_gap() -> None:
    text = str(explain(mismatch(), FakeLab({"replica"})))

    for part in (f"seed {CASE.seed}", "token 3", " x", recorded(CASE, BASE).text, "gap", "smallest factor: replica"):
        assert part in text


@pytest.mark.req("OC-TEST-7060")
@pytest.mark.parametrize(
    ("expected", "actual", "is_near"),
    [
        pytest.param(-1.0, -1.1, True, id="near"),
        pytest.param(-1.0, -1.5, False, id="apart"),
        pytest.param(-1.0, None, False, id="not-among-the-likeliest"),
    ],
)
def test_a_near_tie_is_told_from_what_is_none(expected: float, actual: float | None, is_near: bool) -> None:
    one = mismatch()
    right, wrong = one.expected.pieces[3], one.actual.pieces[3]
    top = [Candidate(1, right, expected), *([Candidate(2, wrong, actual)] if actual is not None else [])]

    engine = FakeEngine(*top)
    gap = gap_of(one, engine)

    assert is_near is gap.is_near_tie
    assert CASE.text + one.expected.text[: one.at.offset] == engine.prompt


def test_without_an_engine_the_gap_is_unknown_and_not_small() -> None:
    gap = gap_of(mismatch(), None)

    assert (None, None) == (gap.is_near_tie, gap.nats)
    assert Gap(why_not=gap.why_not) == gap


@pytest.mark.req("OC-TEST-7060")
def test_equal_texts_that_are_cut_otherwise_have_no_gap() -> None:
    """As vLLM sends them, two tokens in one frame, when its reader is slow."""
    one = recorded(CASE, BASE)
    joined = replace(recorded(CASE, CHANGED["replica"]), pieces=("", one.pieces[0] + one.pieces[1], *one.pieces[2:]))
    (found,) = compare([one, joined])

    gap = gap_of(found, FakeEngine(Candidate(1, "x", -1.0)))

    assert (None, True) == (gap.is_near_tie, "only cut otherwise" in str(gap))


def test_recordings_tell_what_they_were_made_under() -> None:
    made: Recording = recorded(CASE, replace(BASE, life=2, cache="warm", siblings=8, attempt=2))

    assert "orchestrator r1, start 2, warm cache, beside 8, attempt 2" == str(made.under)
