"""Every rule has a history that it passes and at least one that it catches."""

from collections.abc import Callable
from pathlib import Path

import pytest

from chaos.checks import afterwards, bounds, budgets, drains, ends, order, runs, wire
from chaos.checks.finding import Rule
from chaos.facts import Facts
from chaos.judge import CHECKS, RULES, judge
from chaos.record import Recorder
from chaos.tests.story import ANSWER_HEADERS, PLANNING, SESSION, STARTED, Story, name
from harness.history import Stream, now_ms

Tell = Callable[[Story], None]

DEPTH = 'queue_depth{{engine="llamacpp",engine_version="mock-1.0",pool_id="default",priority="batch"}} {}\n'
COUNTER = "# TYPE tokens_out_total counter\ntokens_out_total {}\n"


def story(tell: Tell, **run: object) -> Story:
    """A run in which this happened."""
    made = Story.of(**run)
    tell(made)
    return made


def lost(s: Story) -> None:
    s.submit(1, 0)
    s.exchange("GET", f"/v1/tasks/{name(1)}", 90, status=404, answer={"code": "NOT_FOUND", "message": "m"})


def two_ends(s: Story) -> None:
    s.served(1, 0)
    s.failed(1, 90, "WORKER_RESET")


def another_transcript(s: Story) -> None:
    s.served(1, 0)
    s.ended(1, 90, text="xyq")


def innocent_fails(s: Story) -> None:
    s.submit(1, 0)
    s.failed(1, 90, "WORKER_RESET")


def canceled_unasked(s: Story) -> None:
    s.submit(1, 0)
    s.failed(1, 90, "CANCELED")


def burst_answered(status: int, code: str | None) -> Tell:
    """A burst of which one task is answered so."""

    def tell(s: Story) -> None:
        for number in range(4):
            s.submit(number, number)
        s.submit(4, 4, status=status, answer={} if code is None else {"code": code, "message": "m"})

    tell.__name__ = f"burst_answered_{status}_{code}"
    return tell


def stream_refused(s: Story) -> None:
    s.submit(1, 0)
    s.stream(1, [], opened_ms=5.0, end="refused")
    s.records[-1]["opening"] |= {"status": 500, "body": '{"code": "INTERNAL", "message": "m"}'}


def broken_off(s: Story) -> None:
    s.submit(1, 0)
    s.stream(1, [(10, "started", STARTED)], end="cut", why="ConnectionResetError")


def decoded_twice(s: Story) -> None:
    s.served(1, 0)
    s.decoded(1, 90)


def refused_and_decoded(s: Story) -> None:
    s.submit(1, 0, status=429)
    s.decoded(1, 5)


def canceled_and_decoded_in_the_next_life(s: Story) -> None:
    s.submit(1, 0)
    s.exchange("POST", f"/v1/tasks/{name(1)}/cancel", 5, status=204)
    s.add("life", event="killed", at_ms=10.0, number=1)
    s.decoded(1, 90)


def canceled_and_decoded_later(s: Story) -> None:
    s.submit(1, 0)
    s.exchange("POST", f"/v1/tasks/{name(1)}/cancel", 5, status=204)
    s.decoded(1, 2_000)


def dropped_and_decoded(s: Story) -> None:
    s.submit(1, 0)
    s.decoded(1, 5)
    s.failed(1, 90, "QUEUE_FULL_DROP_LRU")


def ended_without_an_engine(s: Story) -> None:
    s.submit(1, 0)
    s.ended(1, 10)


def ended_with_another_text(s: Story) -> None:
    s.submit(1, 0)
    s.decoded(1, 5)
    s.ended(1, 10, text="abc")


def two_on_one_slot(s: Story) -> None:
    s.served(1, 0)
    s.engine("asked", 1, 5, busy=2)


def later_one_first(s: Story) -> None:
    s.submit(1, 0)
    s.submit(2, 10)
    s.decoded(2, 20)
    s.decoded(1, 30)


def later_one_first_after_a_delay(s: Story) -> None:
    s.add("fault", name="delay@engine", at_ms=-900.0, until_ms=-400.0, hits=1, told="")
    later_one_first(s)


def later_one_first_during_a_delay(s: Story) -> None:
    s.add("fault", name="delay@engine", at_ms=-900.0, until_ms=-100.0, hits=1, told="")
    later_one_first(s)


def batch_before_interactive(s: Story) -> None:
    s.submit(1, 0)
    s.submit(2, 5)
    s.submit(3, 10, priority="interactive")
    s.decoded(1, 15)
    s.decoded(2, 25)
    s.decoded(3, 35)


def too_deep(s: Story) -> None:
    s.scrape(5, DEPTH.format(5))


def place_beyond(s: Story) -> None:
    s.submit(1, 0, answer={"queue_position": 8})


def younger_one_dropped(s: Story) -> None:
    """1 runs, 2 and 3 wait, and 3 is dropped though 2 came before it."""
    for number in (1, 2, 3, 4):
        s.submit(number, 10 * number)
    s.failed(3, 50, "QUEUE_FULL_DROP_LRU")
    s.decoded(4, 60)
    s.decoded(2, 70)


def victim_told_not_to_come_back(s: Story) -> None:
    s.submit(1, 0)
    s.failed(1, 90, "QUEUE_FULL_DROP_LRU", retriable=False)


def newcomer_refused(s: Story) -> None:
    s.submit(1, 0, status=429)


def too_much_taken(s: Story) -> None:
    s.served(1, 0)
    s.exchange("GET", f"/v1/sessions/{SESSION}", 90, answer={"tokens_budget_remaining": 94})


def nothing_taken(s: Story) -> None:
    s.served(1, 0)
    s.exchange("GET", f"/v1/sessions/{SESSION}", 90, answer={"tokens_budget_remaining": 100})


def overdrawn(s: Story) -> None:
    s.submit(1, 0, headers=[["x-budget-tokens-remaining", "-1"]])


def a_slot_less(s: Story) -> None:
    s.add("capacity", when="before", count=5, slots=1)
    s.add("capacity", when="after", count=4, slots=1)


def fewer_than_declared(s: Story) -> None:
    s.add("capacity", when="after", count=4, slots=1)


def connection_left(s: Story) -> None:
    s.scrape(5, "engine_connections_open 1\n")


def engine_left(s: Story) -> None:
    s.add("engines", alive=[4711], at_ms=5.0)


def another_cause_logged(s: Story) -> None:
    s.engine("dying", None, 5, fault="vram-oom")
    s.add("loss", fault="host-oom")


def drain_held_by_a_call(s: Story) -> None:
    s.submit(1, 0)
    s.failed(1, 4_000, "DECODE_TIMEOUT")
    s.add("drain", at_ms=5.0, deadline_ms=300, drained_ms=4_001.0, stuck=[name(1)])


def drain_without_end(s: Story) -> None:
    s.add("drain", at_ms=5.0, deadline_ms=300, drained_ms=None, stuck=[name(1)])


def gap(s: Story) -> None:
    s.submit(1, 0)
    tokens = [(9, "token", {"t": "x", "i": 0}), (9, "token", {"t": "y", "i": 2})]
    s.stream(1, [(9, "started", STARTED), *tokens], end="left")


def token_after_cancel(s: Story) -> None:
    s.submit(1, 0)
    frames = [(9, "started", STARTED), (9, "metrics", PLANNING), (9, "token", {"t": "x", "i": 0})]
    s.stream(1, frames, end="left", at_cancel=2)


def no_envelope(s: Story) -> None:
    s.exchange("GET", "/v1/tasks/x", 5, status=404, answer={"error": "no"})


def counter_falls(s: Story) -> None:
    s.scrape(5, COUNTER.format(7))
    s.scrape(9, COUNTER.format(6))


def never_back(s: Story) -> None:
    s.add("down", what="the server did not start", at_ms=5.0)


def hangs(s: Story) -> None:
    s.add("hang", who="c1", what="POST /v1/tasks: no answer within 15 s", at_ms=5.0)


DROPS: dict[str, object] = {"policy": "drop-lru"}
BUDGET: dict[str, object] = {"budget_tokens": 100}
KILLED: dict[str, object] = {"faults": ["kill-server"]}

BAD: list[tuple[Rule, Tell, dict[str, object]]] = [
    (ends.nothing_lost, lost, KILLED),
    (ends.one_end, two_ends, KILLED),
    (ends.readers_agree, another_transcript, {}),
    (ends.ends_have_a_cause, innocent_fails, {}),
    (ends.ends_have_a_cause, canceled_unasked, KILLED),
    (ends.server_errors_have_a_cause, burst_answered(500, "INTERNAL"), {"faults": ["flood"]}),
    (ends.server_errors_have_a_cause, burst_answered(502, None), {"faults": ["flood", "kill-engine"]}),
    (ends.server_errors_have_a_cause, burst_answered(503, "POOL_UNAVAILABLE"), {"faults": ["flood"]}),
    (ends.server_errors_have_a_cause, stream_refused, {"faults": ["flood", "kill-server"]}),
    (ends.cuts_have_a_cause, broken_off, {}),
    (ends.nothing_hangs, hangs, {}),
    (ends.comes_back, never_back, KILLED),
    (runs.runs_once, decoded_twice, {}),
    (runs.refused_never_runs, refused_and_decoded, {}),
    (runs.canceled_stays_canceled, canceled_and_decoded_in_the_next_life, KILLED),
    (runs.canceled_stays_canceled, canceled_and_decoded_later, {}),
    (runs.dropped_never_runs, dropped_and_decoded, DROPS),
    (runs.ends_were_earned, ended_without_an_engine, {}),
    (runs.ends_were_earned, ended_with_another_text, {}),
    (runs.slots_kept, two_on_one_slot, {}),
    (order.first_come_first_served, later_one_first, {}),
    (order.first_come_first_served, later_one_first, {"slots": 2}),
    (order.first_come_first_served, later_one_first_during_a_delay, {}),
    (order.first_come_first_served, later_one_first_after_a_delay, {"slots": 2}),
    (order.urgent_first, batch_before_interactive, {}),
    (bounds.bounds_held, too_deep, {}),
    (bounds.places_are_within_bounds, place_beyond, {}),
    (bounds.victims_waited_longest, younger_one_dropped, DROPS),
    (bounds.victims_are_told, victim_told_not_to_come_back, DROPS),
    (bounds.overflow_drops, newcomer_refused, DROPS),
    (budgets.budgets_add_up, too_much_taken, BUDGET),
    (budgets.budgets_add_up, nothing_taken, BUDGET),
    (budgets.nothing_overdrawn, overdrawn, BUDGET),
    (drains.drains_meet_their_deadline, drain_held_by_a_call, {"faults": ["stuck-drain"]}),
    (drains.drains_meet_their_deadline, drain_without_end, {"faults": ["stuck-drain"]}),
    (afterwards.same_capacity, a_slot_less, {}),
    (afterwards.same_capacity, fewer_than_declared, {"slots": 2, "faults": ["vram-oom"]}),
    (afterwards.nothing_left_behind, connection_left, {}),
    (afterwards.no_orphan_engines, engine_left, {}),
    (afterwards.deaths_are_told_apart, another_cause_logged, {}),
    (wire.wire_rules, gap, {}),
    (wire.wire_rules, token_after_cancel, {}),
    (wire.wire_rules, no_envelope, {}),
    (wire.counters_only_rise, counter_falls, {}),
]


@pytest.mark.req("OC-TEST-7006")
@pytest.mark.parametrize(("rule", "tell", "run"), BAD, ids=[f"{r.__name__}-{t.__name__}" for r, t, _ in BAD])
def test_a_broken_history_is_caught(rule: Rule, tell: Tell, run: dict[str, object]) -> None:
    verdict = judge(story(tell, **run).records, [rule])

    assert "fail" == verdict.outcome
    assert {rule.__name__} == {finding.rule for finding in verdict.findings}


def test_with_two_slots_a_request_that_a_delay_held_back_may_be_overtaken() -> None:
    verdict = judge(story(later_one_first_during_a_delay, slots=2).records, [order.first_come_first_served])

    assert "fail" != verdict.outcome


@pytest.mark.parametrize(
    ("tell", "fault"),
    [
        pytest.param(burst_answered(429, "ADMISSION_REJECT"), "flood", id="refused"),
        pytest.param(burst_answered(503, "POOL_UNAVAILABLE"), "kill-engine", id="no-engine"),
        pytest.param(burst_answered(503, "POOL_UNREADY"), "drain", id="draining"),
        pytest.param(burst_answered(500, "INTERNAL"), "full-disk", id="no-room"),
    ],
)
def test_a_server_error_that_a_fault_explains_is_none(tell: Tell, fault: str) -> None:
    assert [] == list(ends.server_errors_have_a_cause(Facts(story(tell, faults=[fault]).records)))


def test_a_cancel_explains_its_end_though_it_was_written_down_before_the_submission() -> None:
    """A client writes its errand down at the end of it, and who cancels its task meanwhile is earlier."""
    made = Story.of()
    made.exchange("POST", f"/v1/tasks/{name(1)}/cancel", 50, status=204)
    made.submit(1, 0)
    made.failed(1, 60, "CANCELED")

    assert [] == list(ends.ends_have_a_cause(Facts(made.records)))


@pytest.mark.req("OC-TEST-7006")
def test_every_rule_has_a_broken_history() -> None:
    assert {rule.__name__ for rule in RULES} == {rule.__name__ for rule, _, _ in BAD}


def everything_well(s: Story) -> None:
    """What looks like trouble and is none: the negative control of all rules."""
    s.add("capacity", when="before", count=5, slots=1)
    s.engine("up", None, 0)
    s.submit(1, 10)
    s.submit(2, 20, priority="interactive")
    s.decoded(1, 25)
    s.decoded(2, 35)
    s.ended(1, 30)
    s.ended(2, 40)
    s.submit(3, 50)
    s.exchange("POST", f"/v1/tasks/{name(3)}/cancel", 55, status=204, headers=ANSWER_HEADERS)
    s.failed(3, 56, "CANCELED", retriable=False)
    s.submit(4, 60)
    s.submit(5, 62)
    s.engine("asked", 5, 70, busy=1)  # 4 was on its way to another engine already, and is not known to have waited
    s.engine("let-go", 5, 74)
    s.failed(5, 80, "WORKER_RESET")
    s.failed(4, 80, "WORKER_RESET")
    s.add("fault", name="kill-server", at_ms=75.0, until_ms=79.0, hits=1, told="")
    s.add("life", event="killed", at_ms=75.0, number=1)
    s.add("drain", at_ms=78.0, deadline_ms=1, drained_ms=81.0, stuck=[name(5)])
    s.scrape(90, DEPTH.format(4) + COUNTER.format(7))
    s.scrape(95, DEPTH.format(0) + COUNTER.format(9))
    s.add("capacity", when="after", count=5, slots=1)
    s.add("engines", alive=[], at_ms=99.0)


@pytest.mark.req("OC-TEST-7006")
def test_a_good_history_passes_every_rule() -> None:
    verdict = judge(story(everything_well, faults=["kill-server"]).over().records)

    assert [] == [f"{f.rule} {f.violation}" for f in verdict.findings]
    assert ("pass", ()) == (verdict.outcome, verdict.doubts)


def served_after_the_kill(s: Story) -> None:
    s.served(1, 0)
    s.stream(1, [(90, "started", {**STARTED, "seed": 1}), (90, "metrics", PLANNING)], end="left", opened_ms=90)


@pytest.mark.req("OC-CTRL-2022")
def test_a_cut_is_written_down_with_the_time_at_which_it_was_seen(tmp_path: Path) -> None:
    """A client that the last kill cut off has more to do, and writes the stream down once that is done."""
    recorder, seen_ms = Recorder(tmp_path / "history.jsonl"), now_ms() - 5_000.0
    recorder.stream("c0", Stream(name(1), end="cut", ended_ms=seen_ms), is_direct=True)
    recorder.close()

    assert [recorder.since(seen_ms)] == [record["closed_ms"] for record in recorder.records]


@pytest.mark.parametrize("killed_ms", [pytest.param(50.0, id="another-life"), pytest.param(None, id="same-life")])
def test_readers_are_compared_within_one_life(killed_ms: float | None) -> None:
    made = story(served_after_the_kill)
    if killed_ms is not None:
        made.add("life", event="killed", at_ms=killed_ms, number=1)

    assert (killed_ms is None) == bool(list(ends.readers_agree(Facts(made.records))))


def test_every_check_proves_something() -> None:
    assert [] == [check.rule.__name__ for check in CHECKS if not check.proves]
