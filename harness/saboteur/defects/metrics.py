"""Metrics: series that are missing, mislabelled, or do not count what happened."""

import re
from collections.abc import Callable

from harness.saboteur.defect import Wire, answers
from harness.saboteur.message import Answer, Request

METRICS = "GET /metrics"

Line = Callable[[str], str | None]


def _each(answer: Answer, changed: Line) -> None:
    """Change every line of a scrape; None takes it out."""
    found = [new for line in answer.body.decode().split("\n") if (new := changed(line)) is not None]
    answer.body = "\n".join(found).encode()


def _with_value(line: str, value: Callable[[float], float]) -> str:
    name, _, given = line.rpartition(" ")
    return f"{name} {value(float(given))}"


def _scaled(answer: Answer, beginning: str, value: Callable[[float], float]) -> None:
    _each(answer, lambda line: _with_value(line, value) if line.startswith(beginning) else line)


@answers("OC-METRICS-7101", "ORCH-3028", at=METRICS)
def a_series_is_missing(answer: Answer, request: Request, wire: Wire) -> None:
    """A series of the contract has another name."""
    answer.body = answer.body.replace(b"queue_depth", b"queue_length")


@answers("OC-METRICS-7101", at=METRICS)
def a_label_is_missing(answer: Answer, request: Request, wire: Wire) -> None:
    """A series lacks a label."""
    answer.body = re.sub(rb'(tokens_out_total\{.*?),pool_id="[^"]*"', rb"\1", answer.body)


@answers("OC-METRICS-7101", at=METRICS)
def a_label_too_many(answer: Answer, request: Request, wire: Wire) -> None:
    """A series has a label that the contract does not know."""
    answer.body = answer.body.replace(b"tokens_out_total{", b'tokens_out_total{zone="a",')


@answers("OC-METRICS-7101", at=METRICS)
def a_counter_is_a_gauge(answer: Answer, request: Request, wire: Wire) -> None:
    """A series has another type."""
    answer.body = answer.body.replace(b"# TYPE tokens_out_total counter", b"# TYPE tokens_out_total gauge")


@answers("OC-METRICS-7101", at=METRICS)
def a_value_that_is_not_listed(answer: Answer, request: Request, wire: Wire) -> None:
    """A label has a value that is not on its list."""
    answer.body = answer.body.replace(b'priority="batch"', b'priority="low"')


@answers("OC-METRICS-7102", at=METRICS)
def more_engines_than_there_are(answer: Answer, request: Request, wire: Wire) -> None:
    """A label has more values than its budget."""
    line = 'latency_decode_ms_count{{engine="e{}",engine_version="1",pool_id="p",priority="batch"}} 0\n'
    answer.body += "".join(line.format(number) for number in range(9)).encode()


@answers("OC-METRICS-7103", at=METRICS)
def a_series_for_each_task(answer: Answer, request: Request, wire: Wire) -> None:
    """A series is keyed by a task."""
    answer.body += b'# TYPE tasks_open gauge\ntasks_open{task_id="7b6a8c1e-6f0f-4f6e-9d58-4c1c1b1f4a10"} 1\n'


@answers("OC-METRICS-7107", at=METRICS)
def a_ratio_above_one(answer: Answer, request: Request, wire: Wire) -> None:
    """A value is impossible in its unit."""
    _scaled(answer, "kv_cache_usage_ratio{", lambda _: 42.0)


@answers("OC-METRICS-7108", at=METRICS)
def a_series_twice(answer: Answer, request: Request, wire: Wire) -> None:
    """A series stands twice in one scrape."""
    _each(answer, lambda line: f"{line}\n{line}" if line.startswith("engine_connections_open ") else line)


@answers("OC-METRICS-7108", at=METRICS)
def a_histogram_that_falls(answer: Answer, request: Request, wire: Wire) -> None:
    """A histogram counts less in its last bucket than in all."""
    _each(answer, lambda line: _with_value(line, lambda v: v + 9) if re.match(r"latency.*_count\{", line) else line)


@answers("OC-CORE-1041", at=METRICS)
def counters_fall(answer: Answer, request: Request, wire: Wire) -> None:
    """Counters fall."""
    at = wire.count("scrapes")
    _each(
        answer,
        lambda line: _with_value(line, lambda v: max(0.0, v - 10 * at)) if re.match(r"t\w+_total\{", line) else line,
    )


@answers("OC-CORE-1041", at=METRICS)
def tasks_are_counted_twice(answer: Answer, request: Request, wire: Wire) -> None:
    """Each admission and start moves its counter by two."""
    _each(answer, lambda line: _with_value(line, lambda v: 2 * v) if re.match(r"tasks_\w+_total\{", line) else line)


@answers("OC-CORE-1041", at=METRICS)
def tokens_are_not_counted(answer: Answer, request: Request, wire: Wire) -> None:
    """Finished tasks do not move the token counters."""
    _each(answer, lambda line: _with_value(line, lambda _: 0) if re.match(r"tokens_\w+_total\{", line) else line)


@answers("OC-CORE-1041", at=METRICS)
def cancels_are_not_counted(answer: Answer, request: Request, wire: Wire) -> None:
    """A cancel moves no counter."""
    _scaled(answer, "tasks_canceled_total{", lambda _: 0)


@answers("OC-CORE-1041", at=METRICS)
def failures_are_not_counted(answer: Answer, request: Request, wire: Wire) -> None:
    """A task that ends with an error moves no counter."""
    _scaled(answer, "tasks_failed_total{", lambda _: 0)


@answers("OC-CORE-1041", at=METRICS)
def refusals_are_counted_as_others(answer: Answer, request: Request, wire: Wire) -> None:
    """A refusal is counted under another code."""
    answer.body = re.sub(rb'reason="(INVALID_PARAMS|ADMISSION_REJECT)"', b'reason="INTERNAL"', answer.body)


@answers("ORCH-3005", "OC-CORE-1002", at=METRICS)
def a_full_queue_is_not_counted(answer: Answer, request: Request, wire: Wire) -> None:
    """What a full queue does shows in no counter."""
    _scaled(answer, "admission_backpressure_events_total{", lambda _: 0)


@answers("ORCH-3028", at=METRICS)
def nobody_waits(answer: Answer, request: Request, wire: Wire) -> None:
    """The depth of the queue is always 0."""
    _scaled(answer, "queue_depth{", lambda _: 0)


@answers("ORCH-3017", "OC-CORE-1014", at=METRICS)
def a_slot_leaks(answer: Answer, request: Request, wire: Wire) -> None:
    """A cancel leaves a slot behind."""
    _scaled(answer, "slots_leaked_total{", lambda v: v + wire.count("scrapes"))


@answers("OC-CTRL-2051", at=METRICS)
def openmetrics_is_not_spoken(answer: Answer, request: Request, wire: Wire) -> None:
    """Who asks for OpenMetrics gets the older text."""
    answer.put("Content-Type", "text/plain; version=0.0.4; charset=utf-8")


@answers("OC-CTRL-2051", at=METRICS)
def openmetrics_without_an_end(answer: Answer, request: Request, wire: Wire) -> None:
    """The OpenMetrics text has no end."""
    answer.body = answer.body.replace(b"# EOF\n", b"")


@answers("OC-CTRL-2051", at=METRICS)
def metrics_as_json(answer: Answer, request: Request, wire: Wire) -> None:
    """The metrics say that they are JSON."""
    answer.put("Content-Type", "application/json")


@answers("ORCH-3022", "OC-POOL-3030", at=METRICS)
def pressure_and_restarts_do_not_show(answer: Answer, request: Request, wire: Wire) -> None:
    """Neither the pressure on the KV cache nor preloads and restarts are exported."""
    _each(
        answer, lambda line: None if re.search(r"kv_cache_usage_ratio|pool_(preloads|restarts)_total", line) else line
    )


@answers("OC-METRICS-7106", at=METRICS)
def a_series_without_help(answer: Answer, request: Request, wire: Wire) -> None:
    """A series does not say what it is."""
    _each(answer, lambda line: None if line.startswith("# HELP tokens_out_total") else line)
