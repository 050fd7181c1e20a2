"""The features bite: a good server passes them, and each bad one is caught by the scenario that is meant for it."""

import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import pytest

from harness.conform import Selection, run
from harness.outcome import Outcome
from harness.report.result import Result
from harness.target import REFERENCE_SERVER, Servers, Target
from harness.tests import saboteurs
from harness.tests.lying_server import LIES as LYING
from harness.tests.saboteurs import Fault, sabotaged

TOKEN_ENV = "TEETH_TOKEN"


@dataclass
class Gathered:
    """A listener that keeps the result."""

    result: Result = field(default_factory=Result)
    log: str = ""

    def take(self, event: dict[str, Any]) -> None:
        self.result.take(event)

    def close(self, exit_code: int, log: str) -> None:
        self.log = log


@pytest.fixture(scope="module")
def good(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Target]:
    """The reference server."""
    servers = Servers(REFERENCE_SERVER, folder=tmp_path_factory.mktemp("good"))
    yield servers.get({})
    servers.stop()


def conform(good: Target, fault: Fault, keyword: str, monkeypatch: pytest.MonkeyPatch) -> tuple[int, Gathered]:
    """Run some scenarios against the good server made bad."""
    monkeypatch.setenv(TOKEN_ENV, good.token or "")
    gathered = Gathered()
    with sabotaged(good.url, fault) as url:
        code = run(Selection(url=url, token_env=TOKEN_ENV, keyword=keyword, disturb=True), [gathered])
    return code, gathered


CASES: list[tuple[Callable[[Target], Fault], str, str]] = [
    (lambda _: saboteurs.NoTerminalFrame(), "test_frames_come_in_order", "OC-CTRL-2022"),
    (lambda _: saboteurs.TwoTerminalFrames(), "test_frames_come_in_order", "OC-CTRL-2022"),
    (lambda _: saboteurs.IndexTwice(), "test_frames_come_in_order", "OC-CTRL-2021"),
    (lambda _: saboteurs.LateTokens(), "test_no_token_comes_after_the_cancel", "ORCH-3026"),
    (lambda _: saboteurs.TextOfItsOwn(), "test_the_same_seed_gives", "ORCH-3045"),
    (lambda _: saboteurs.ForgetsTheReader(), "test_a_reader_that_comes_back_misses and the-first-frame", "ORCH-2002"),
    (lambda _: saboteurs.NoRetryAfter(), "test_a_full_queue_says_when", "ORCH-2007"),
    (lambda _: saboteurs.IdOfItsOwn(), "test_without_an_id_every_answer", "OC-CTRL-2052"),
    (lambda _: saboteurs.DefectForBadInput(), "test_a_body_that_is_not and plain-text", "OC-CTRL-2030"),
    (lambda good: saboteurs.AnyToken(good.token or ""), "test_a_request_without_the_token", "OC-CTRL-2030"),
    (lambda _: saboteurs.OtherMetricNames(), "test_every_series_of_the_contract", "OC-METRICS-7101"),
    (lambda _: saboteurs.ClaimsLess(), "test_a_workload_works_on_every and rerank", "OC-CTRL-2030"),
    (lambda _: saboteurs.ClaimsMore(), "test_an_engine_works_that_is_claimed and vllm", "ORCH-3095"),
    (lambda _: saboteurs.ForgetsFields(), "test_an_accepted_task_is_told", "ORCH-3044"),
]


@pytest.mark.slow
@pytest.mark.req("OC-TEST-7006", "OC-TEST-7021")
@pytest.mark.parametrize(
    ("fault", "keyword", "req"), CASES, ids=[f"{req}-{keyword.split()[0]}" for _, keyword, req in CASES]
)
def test_a_bad_server_is_caught(
    good: Target, monkeypatch: pytest.MonkeyPatch, fault: Callable[[Target], Fault], keyword: str, req: str
) -> None:
    code, gathered = conform(good, fault(good), keyword, monkeypatch)

    assert 1 == code, gathered.log
    caught = [entry for entry in gathered.result.failures if entry.outcome is Outcome.FAIL]
    assert caught, gathered.result.finished
    assert req in {violation["req"] for entry in caught for violation in entry.violations}


@pytest.mark.slow
@pytest.mark.req("OC-TEST-7006")
def test_the_good_server_passes_what_catches_the_bad_ones(good: Target, monkeypatch: pytest.MonkeyPatch) -> None:
    """Through the same proxy: what was caught is the fault, not the proxy."""
    keyword = " or ".join(f"({keyword})" for _, keyword, _ in CASES)
    code, gathered = conform(good, Fault(), keyword, monkeypatch)

    assert 0 == code, (gathered.log, [str(entry) for entry in gathered.result.failures])
    assert len(gathered.result.finished) >= len({keyword for _, keyword, _ in CASES})


def test_scenarios_with_settings_of_their_own_do_not_apply_to_a_url(
    good: Target, monkeypatch: pytest.MonkeyPatch
) -> None:
    code, gathered = conform(good, Fault(), "test_a_session_expires", monkeypatch)

    (entry,) = gathered.result.finished
    assert (0, Outcome.NOT_APPLICABLE) == (code, entry.outcome)
    assert "given by its URL" in entry.message


LAUNCH = f"{sys.executable} -m harness.tests.lying_server {{}} --config {{{{config}}}}"

LIES = [
    ("too-short", "test_who_comes_again", "OC-CORE-1044"),
    ("too-long", "test_who_comes_again", "OC-CORE-1045"),
    ("constant-start", "test_a_predicted_start", "OC-CORE-1042"),
]


@pytest.mark.slow
@pytest.mark.req("OC-TEST-7006")
@pytest.mark.parametrize(("lie", "keyword", "req"), LIES, ids=[lie for lie, _, _ in LIES])
def test_a_server_that_lies_about_times_is_caught(lie: str, keyword: str, req: str) -> None:
    gathered = Gathered()

    code = run(Selection(launch=LAUNCH.format(lie), keyword=keyword, jobs=1), [gathered])

    (entry,) = gathered.result.finished
    assert (1, Outcome.FAIL) == (code, entry.outcome), (gathered.log, entry)
    assert req in {violation["req"] for violation in entry.violations}


@pytest.mark.slow
@pytest.mark.req("OC-TEST-7006", "OC-TEST-7035")
def test_a_server_that_tells_true_times_passes_through_the_same_proxy() -> None:
    """Or the machine is too busy to tell, which the outcome says; a failure it never is."""
    gathered = Gathered()

    run(Selection(launch=LAUNCH.format("none"), keyword="test_who_comes_again or test_a_predicted_start"), [gathered])

    assert 2 == len(gathered.result.finished), gathered.log
    assert [] == gathered.result.failures
    assert gathered.result.figures["predicted_start_error_ms"]["count"] == 1


def test_saboteurs_are_all_used() -> None:
    faults = {value for value in vars(saboteurs).values() if isinstance(value, type) and issubclass(value, Fault)}
    used = {type(make(Target("http://x", token="t"))) for make, _, _ in CASES}

    assert faults - {Fault} == used | {type(LYING[lie]) for lie, _, _ in LIES}
