"""Pools: their health, drain, reload, and the engines that capabilities name."""

from typing import Any

from harness.saboteur.defect import Exchange, Wire, answers, exchanges
from harness.saboteur.message import Answer, Request

HEALTH = "GET /v1/pools/*/health"
CAPABILITIES = "GET /v1/capabilities"
TASKS = "POST /v1/tasks"
REFUSED_TASKS = 50  # more than other scenarios send to one server


@answers("ORCH-2103", "OC-CTRL-2001", at=HEALTH)
def a_pool_is_not_ready(answer: Answer, request: Request, wire: Wire) -> None:
    """A pool that takes work says that it does not."""
    if answer.status == 200 and answer.json["ready"]:
        answer.set(ready=False)


@answers("ORCH-2103", "OC-CTRL-2001", at=HEALTH)
def a_drain_is_done_too_early(answer: Answer, request: Request, wire: Wire) -> None:
    """A pool that drains says that it is done and ready."""
    answer.set(draining=False, ready=True)


@answers("OC-CTRL-2001", at=HEALTH)
def health_without_figures(answer: Answer, request: Request, wire: Wire) -> None:
    """The health of a pool has no metrics."""
    answer.set(metrics=None)


@answers("OC-CTRL-2005", at=HEALTH)
def nobody_knows_how_far_it_is(answer: Answer, request: Request, wire: Wire) -> None:
    """The health of a pool does not tell which phase its drain or reload is in."""
    if "operation" in (answer.json or {}):
        answer.set(operation={**answer.json["operation"], "phase": "loading"})


@answers("OC-CTRL-2005", at=HEALTH)
def a_drain_waits_for_ever(answer: Answer, request: Request, wire: Wire) -> None:
    """What is left of a drain's deadline does not become less than it was."""
    if (operation := (answer.json or {}).get("operation")) and "deadline_ms_remaining" in operation:
        answer.set(operation={**operation, "deadline_ms_remaining": operation["deadline_ms_remaining"] + 60_000})


@answers("OC-POOL-3003", "ORCH-3090", "OC-POLICY-4042", at=HEALTH)
def health_gives_no_reason(answer: Answer, request: Request, wire: Wire) -> None:
    """The health of a pool does not say why it failed."""
    if "last_error" in (answer.json or {}):
        answer.set(last_error="error")


@answers("ORCH-2101", "OC-POOL-3013", "OC-CTRL-2071", at=TASKS)
def a_closed_pool_takes_tasks(answer: Answer, request: Request, wire: Wire) -> None:
    """A pool that drains or reloads admits tasks."""
    if answer.status == 503:
        answer.accept(request)


@exchanges("ORCH-2101", "OC-CTRL-2002", at="POST /v1/pools/*/drain")
def a_drain_is_for_another_pool(request: Request, wire: Wire) -> Exchange:
    """A drain of one pool drains another one."""
    request.path = request.path.replace("/pools/default/drain", "/pools/other/drain")
    yield None


@exchanges("OC-CTRL-2002", "ORCH-3033", at="POST /v1/pools/*/drain")
def a_drain_waits_for_nobody(request: Request, wire: Wire) -> Exchange:
    """A drain ends what runs at once, whatever its deadline."""
    if (request.json or {}).get("deadline_ms") == 60_000:
        request.set(deadline_ms=0)
    yield None


@answers("OC-CTRL-2034", "ORCH-2101", at="POST /v1/pools/*/drain")
def a_drain_takes_anything(answer: Answer, request: Request, wire: Wire) -> None:
    """A drain that is not the contract's is taken."""
    if answer.status == 400:
        answer.become(202)


@answers("ORCH-2101", at="POST /v1/pools/*/drain")
def a_drain_is_done_at_once(answer: Answer, request: Request, wire: Wire) -> None:
    """A drain is answered 200."""
    answer.status = 200 if answer.status == 202 else answer.status


@answers("ORCH-2101", "ORCH-2102", at="POST /v1/pools/*/*")
def any_pool_will_do(answer: Answer, request: Request, wire: Wire) -> None:
    """A pool that does not exist is drained and reloaded."""
    if answer.status == 404:
        answer.become(202)


@answers("ORCH-2102", at="POST /v1/pools/*/reload")
def a_reload_is_done_at_once(answer: Answer, request: Request, wire: Wire) -> None:
    """A reload is answered 200."""
    answer.status = 200 if answer.status == 202 else answer.status


@answers("OC-CTRL-2003", "ORCH-3031", "ORCH-3093", "ORCH-3073", at=HEALTH)
def a_reload_has_another_end(answer: Answer, request: Request, wire: Wire) -> None:
    """A reload that was rolled back says that it is done, and one that is done that it was rolled back."""
    operation = dict((answer.json or {}).get("operation") or {})
    swapped = {"done": "rolled-back", "rolled-back": "done"}.get(operation.get("phase", ""))
    if swapped:
        answer.set(operation={**operation, "phase": swapped})


@answers("OC-CTRL-2003", "ORCH-2102", at=HEALTH)
def a_reload_leaves_no_trace(answer: Answer, request: Request, wire: Wire) -> None:
    """The health of a pool does not say how its reload went."""
    answer.set(operation=None)


@answers("ORCH-2102", "OC-CTRL-2003", at=CAPABILITIES)
def the_old_model_is_still_named(answer: Answer, request: Request, wire: Wire) -> None:
    """Capabilities name the model that a pool had before."""
    _change(answer, lambda row: {**row, "model_ref": wire.memory.setdefault("model", "default")})


@answers("ORCH-2102", "ORCH-3031", at=TASKS)
def the_old_model_is_still_served(answer: Answer, request: Request, wire: Wire) -> None:
    """A task for the model that a pool had before is admitted."""
    if answer.status == 400:
        answer.accept(request)


@answers("OC-CTRL-2003", "ORCH-3031", at="POST /v1/pools/*/reload")
def two_reloads_at_a_time(answer: Answer, request: Request, wire: Wire) -> None:
    """A reload is taken while another one is under way."""
    if answer.status == 409:
        answer.become(202)


@answers("OC-CTRL-2034", "ORCH-2102", at="POST /v1/pools/*/reload")
def a_reload_takes_anything(answer: Answer, request: Request, wire: Wire) -> None:
    """A reload that is not the contract's is taken."""
    if answer.status == 400:
        answer.become(202)


@answers("OC-CTRL-2061", "ORCH-3096", "ORCH-3044", at=CAPABILITIES)
def another_api_version(answer: Answer, request: Request, wire: Wire) -> None:
    """Capabilities name another version than the contract's."""
    answer.set(api_version="0.9.0")


@answers("OC-CTRL-2060", "ORCH-3095", at=CAPABILITIES)
def an_engine_without_version(answer: Answer, request: Request, wire: Wire) -> None:
    """An engine in capabilities has no version."""
    _change(answer, lambda row: {**row, "engine_version": ""})


@answers("ORCH-3095", "OC-CTRL-2060", at=CAPABILITIES)
def limits_are_lies(answer: Answer, request: Request, wire: Wire) -> None:
    """Capabilities name a context of nothing and no workload."""
    _change(answer, lambda row: {**row, "ctx_max": 0, "supported_workloads": []})


@answers("ORCH-3095", at=CAPABILITIES)
def a_workload_is_served_in_silence(answer: Answer, request: Request, wire: Wire) -> None:
    """Capabilities do not claim a workload that is served."""
    _change(answer, lambda row: {**row, "supported_workloads": ["completion"]})


@answers("ORCH-3095", at=CAPABILITIES)
def an_engine_is_claimed_in_vain(answer: Answer, request: Request, wire: Wire) -> None:
    """Capabilities claim an engine that is not there."""
    if "engines" in (answer.json or {}):
        answer.set(engines=[*answer.json["engines"], {**answer.json["engines"][0], "engine": "vllm"}])


@answers("ORCH-3095", at="GET /v1/tasks/*")
def slots_are_declared_in_vain(answer: Answer, request: Request, wire: Wire) -> None:
    """A task on a slot that capabilities declare does not run."""
    if (answer.json or {}).get("state") == "running":
        answer.set(state="failed", error={"code": "REPLICA_EXHAUSTED", "message": "planted"})


@answers("OC-POOL-3014", at=TASKS)
def refused_tasks_are_an_outage(answer: Answer, request: Request, wire: Wire) -> None:
    """After many tasks that an engine refused its pool is said to be unavailable."""
    if answer.status == 202 and wire.count("tasks") >= REFUSED_TASKS:
        answer.become(
            503, {"code": "POOL_UNAVAILABLE", "message": "planted", "retriable": True, "retry_after_ms": 1_000}
        )
        answer.put("Retry-After", "1")
        answer.put("X-Backoff-Ms", "1000")


@answers("OC-ADAPT-5012", "ORCH-3058", at=CAPABILITIES)
def a_stand_in_calls_itself_real(answer: Answer, request: Request, wire: Wire) -> None:
    """A stand-in does not say that it is one."""
    _change(answer, lambda row: {**row, "features": {**row["features"], "stand_in": False}})


@answers("OC-CTRL-2004", "OC-CTRL-2062", "ORCH-2104", at="** /v1/replicasets")
def replica_sets_are_back(answer: Answer, request: Request, wire: Wire) -> None:
    """The list of replica sets answers."""
    answer.become(200, [])


@answers("OC-CTRL-2072", at="GET /v1/status")
def the_status_shows_waiting_tasks_as_running(answer: Answer, request: Request, wire: Wire) -> None:
    """The status counts no task that waits."""
    found = answer.json or {}
    for pool in found.get("pools", []):
        for lane in pool["queues"]:
            lane["depth"] = 0
    answer.json = found


@answers("OC-CTRL-2072", at="GET /v1/status")
def the_status_shows_prompts(answer: Answer, request: Request, wire: Wire) -> None:
    """The status shows what was asked."""
    answer.set(prompt="Numbers: 1, 2, 3, 4, 5, 6, 7, 8, 9, and 0, 0, 0, 0, 0, 0, 0")


@answers("OC-CTRL-2073", at="GET /")
def the_page_may_load_anything(answer: Answer, request: Request, wire: Wire) -> None:
    """The status page has no policy of what it may load."""
    answer.drop("Content-Security-Policy")


@answers("OC-CTRL-2073", at="GET /")
def the_page_tells_facts(answer: Answer, request: Request, wire: Wire) -> None:
    """The status page names the engine to whoever asks."""
    answer.body += b"<!-- mock-1.0 -->"


def _change(answer: Answer, row_of: Any) -> None:
    if isinstance(answer.json, dict) and "engines" in answer.json:
        answer.set(engines=[row_of(row) for row in answer.json["engines"]])
