"""Admission: what is told of a task, what is let in, what is remembered."""

from harness.saboteur.defect import Exchange, Wire, answers, exchanges
from harness.saboteur.message import Answer, Request

TASKS = "POST /v1/tasks"
STATUS = "GET /v1/tasks/*"
OPTIONAL = ("seed", "expected_tokens", "determinism", "kv_hint", "inputs", "sampler_profile_version", "label")
KNOWN = (
    *("task_id", "session_id", "workload", "model_ref", "engine", "ctx", "priority", "max_tokens", "deadline_ms"),
    *("prompt", "on_disconnect", *OPTIONAL),
)


@answers("ORCH-2001", at=TASKS)
def accepted_with_200(answer: Answer, request: Request, wire: Wire) -> None:
    """A task is admitted with 200."""
    answer.status = 200 if answer.status == 202 else answer.status


@answers("ORCH-2001", at=TASKS)
def no_backoff_in_the_answer(answer: Answer, request: Request, wire: Wire) -> None:
    """The answer to a task that was admitted has no `backoff_ms`."""
    answer.set(backoff_ms=None)


@answers("ORCH-2001", "OC-CORE-1042", at=TASKS)
def told_to_wait_behind_nobody(answer: Answer, request: Request, wire: Wire) -> None:
    """A task that starts at once is told a place in the queue."""
    if answer.status == 202:
        answer.set(queue_position=answer.json["queue_position"] + 1)


@answers("ORCH-2001", "OC-CORE-1042", at=TASKS)
def told_to_start_at_once(answer: Answer, request: Request, wire: Wire) -> None:
    """A task that has to wait is told that it starts at once."""
    if answer.status == 202:
        answer.set(queue_position=0, predicted_start_ms=0)


@answers("OC-CORE-1042", at=TASKS)
def a_start_in_the_past(answer: Answer, request: Request, wire: Wire) -> None:
    """The predicted start of a task that waits is negative."""
    if answer.status == 202:
        answer.set(predicted_start_ms=-answer.json["predicted_start_ms"])


@answers("OC-CORE-1047", at=TASKS)
def a_start_told_far_too_late(answer: Answer, request: Request, wire: Wire) -> None:
    """A task that has to wait is told that it waits ten times as long as it will."""
    if answer.status == 202:
        answer.set(predicted_start_ms=10 * answer.json["predicted_start_ms"])


@exchanges("ORCH-2012", "ORCH-3024", at=TASKS)
def the_same_task_twice(request: Request, wire: Wire) -> Exchange:
    """A request that is sent again makes a second task."""
    task = request.json or {}
    given = task.get("task_id", "")
    if wire.count(given):
        request.set(task_id=str(given)[:-4] + f"{wire.count('twins'):04x}")
    answer = yield None
    if answer.status == 202:
        answer.set(task_id=given)


@exchanges("ORCH-2012", at=TASKS)
def the_same_request_is_a_conflict(request: Request, wire: Wire) -> Exchange:
    """A request that is sent again is refused."""
    seen = wire.count((request.json or {}).get("task_id", ""))
    answer = yield None
    if seen:
        answer.refuse("CONFLICT")


@answers("ORCH-2012", "ORCH-3024", at=TASKS)
def another_body_is_the_same_task(answer: Answer, request: Request, wire: Wire) -> None:
    """A `task_id` with another body gets the first answer."""
    if answer.status == 409:
        answer.accept(request)


@answers("ORCH-3014", "ORCH-3015", "ORCH-2008", "OC-CORE-1020", "OC-CORE-1021", "OC-CORE-1036", at=TASKS)
def what_cannot_run_is_admitted(answer: Answer, request: Request, wire: Wire) -> None:
    """A task that no pool can serve is admitted."""
    if (answer.json or {}).get("code") == "INVALID_PARAMS":
        answer.accept(request)


@answers("ORCH-3014", "ORCH-3046", "OC-CTRL-2013", "OC-CTRL-2010", at=TASKS)
def what_cannot_run_is_to_come_again(answer: Answer, request: Request, wire: Wire) -> None:
    """A task that no pool can serve is told to come again."""
    if (answer.json or {}).get("code") == "INVALID_PARAMS":
        answer.refuse("POOL_UNREADY")


@answers("OC-CTRL-2031", at=TASKS)
def a_refusal_names_no_engine(answer: Answer, request: Request, wire: Wire) -> None:
    """A refusal that concerns an engine does not name it."""
    if answer.status >= 400:
        answer.set(engine=None, pool_id=None)


@answers("OC-CTRL-2013", at=TASKS)
def nobody_says_what_is_served(answer: Answer, request: Request, wire: Wire) -> None:
    """The refusal of an unknown model does not say which there are."""
    if answer.status == 400:
        answer.set(message="no such model")


@answers("OC-CTRL-2010", "ORCH-2013", "ORCH-3035", at="**")
def what_is_refused_is_counted_as_enqueued(answer: Answer, request: Request, wire: Wire) -> None:
    """A task that was refused is enqueued all the same."""
    if request.path == "/metrics" and answer.status == 200:
        answer.body = _one_more(answer.body) if wire.memory.get("refused") else answer.body
    elif answer.status >= 400:
        wire.memory["refused"] = True


@answers("OC-CTRL-2010", at="**")
def half_a_request_is_enqueued(answer: Answer, request: Request, wire: Wire) -> None:
    """What another client has sent by half is enqueued with the next task."""
    if request.line == TASKS and answer.status == 202:
        wire.memory["admitted"] = True
    elif request.path == "/metrics" and wire.memory.get("admitted"):
        answer.body = _one_more(answer.body)


@answers("OC-CTRL-2010", "OC-CTRL-2033", at=STATUS)
def a_refused_task_is_known(answer: Answer, request: Request, wire: Wire) -> None:
    """A task that was never admitted has a state."""
    if answer.status == 404:
        answer.become(200, {"task_id": request.task_id, "state": "queued", "tokens_out": 0})


@exchanges("OC-CTRL-2010", "OC-CORE-1044", at=TASKS)
def a_refusal_is_remembered(request: Request, wire: Wire) -> Exchange:
    """A task that was refused once is refused for ever."""
    task_id = (request.json or {}).get("task_id", "")
    if task_id in wire.memory:
        yield wire.memory[task_id]
    answer = yield None
    if answer.status >= 400:
        wire.memory[task_id] = answer


@exchanges("ORCH-2001", at=TASKS)
def optional_fields_are_refused(request: Request, wire: Wire) -> Exchange:
    """A task with a field that it need not have is refused."""
    if set(request.json or {}) & set(OPTIONAL):
        yield Answer.to(request).refuse("INVALID_PARAMS")
    yield None


@exchanges("OC-ADAPT-5017", at=TASKS)
def large_seeds_are_refused(request: Request, wire: Wire) -> Exchange:
    """A seed that the engine's own range does not have is refused."""
    seed = (request.json or {}).get("seed", 0)
    if isinstance(seed, int) and not 0 <= seed < 2**32:
        yield Answer.to(request).refuse("INVALID_PARAMS")
    yield None


@exchanges("ORCH-2001", at=TASKS)
def a_charset_is_another_type(request: Request, wire: Wire) -> Exchange:
    """JSON with a charset beside it is refused."""
    if "charset" in (request.header("content-type") or ""):
        yield Answer.to(request).refuse("UNSUPPORTED_MEDIA_TYPE")
    yield None


@exchanges("OC-CTRL-2034", "ORCH-2013", at=TASKS)
def unknown_fields_are_ignored(request: Request, wire: Wire) -> Exchange:
    """A field that the contract does not know is passed over."""
    if isinstance(request.json, dict) and set(request.json) - set(KNOWN):
        request.json = {name: value for name, value in request.json.items() if name in KNOWN}
    yield None


@exchanges("OC-CTRL-2014", at=TASKS)
def prompt_and_inputs_are_taken(request: Request, wire: Wire) -> Exchange:
    """A task with both a prompt and inputs is admitted."""
    if {"prompt", "inputs"} <= set(request.json or {}):
        request.set(inputs=None)
    yield None


@answers("ORCH-2009", at=STATUS)
def a_status_without_place(answer: Answer, request: Request, wire: Wire) -> None:
    """The status of a task that waits does not tell its place."""
    answer.set(queue_position=None, predicted_start_ms=None)


@answers("ORCH-2009", at=STATUS)
def a_status_forgets_the_tokens(answer: Answer, request: Request, wire: Wire) -> None:
    """The status of a task that has ended tells no tokens."""
    answer.set(tokens_out=0)


@answers("ORCH-2009", at=STATUS)
def a_status_without_its_error(answer: Answer, request: Request, wire: Wire) -> None:
    """The status of a task that failed does not say why."""
    answer.set(error=None)


@answers("ORCH-2009", at=STATUS)
def a_stale_queue_position(answer: Answer, request: Request, wire: Wire) -> None:
    """A task that waits is told the place that it had at first."""
    if answer.status == 200 and "queue_position" in answer.json:
        first = wire.memory.setdefault(request.path, answer.json["queue_position"])
        answer.set(queue_position=first)


@answers("ORCH-3020", at=STATUS)
def prefix_caches_count_for_nothing(answer: Answer, request: Request, wire: Wire) -> None:
    """A task starts at once on a free slot, whatever prefix caches hold."""
    if answer.status == 200 and answer.json.get("state") == "queued":
        answer.set(state="running", queue_position=None, predicted_start_ms=None)


@answers("OC-CORE-1029", at=TASKS)
def a_deadline_is_any_bad_value(answer: Answer, request: Request, wire: Wire) -> None:
    """A deadline that cannot be met is refused like any other value."""
    if (answer.json or {}).get("code") == "DEADLINE_UNMET":
        answer.set(code="INVALID_PARAMS")


@answers("OC-CORE-1029", at=TASKS)
def any_deadline_will_do(answer: Answer, request: Request, wire: Wire) -> None:
    """A task whose deadline cannot be met is admitted."""
    if (answer.json or {}).get("code") == "DEADLINE_UNMET":
        answer.accept(request)


def _one_more(metrics: bytes) -> bytes:
    """A scrape with one enqueued task more than there is."""
    lines = metrics.split(b"\n")
    at = next((n for n, line in enumerate(lines) if line.startswith(b"tasks_enqueued_total{")), None)
    if at is not None:
        name, _, value = lines[at].rpartition(b" ")
        lines[at] = b"%b %g" % (name, float(value) + 1)
    return b"\n".join(lines)
