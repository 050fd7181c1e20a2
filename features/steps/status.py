"""The operator's look: the status and its page."""

from pytest_bdd import then

from features.steps.world import ENDLESS_PROMPT, PROMPT, World
from harness.checks.violation import Violation
from harness.expect import ViolationError, assert_status


def violated(req: str, expected: str, actual: object) -> ViolationError:
    """A sentence of these two that does not hold."""
    return ViolationError([Violation(req=req, expected=expected, actual=str(actual))])


@then("the status shows the pool with the waiting task and every slot busy")
def the_pool_is_shown(world: World) -> None:
    assert_status(world.answer, 200, req="OC-CTRL-2072")
    shown = {pool["id"]: pool for pool in world.answer.json["pools"]}.get(world.service.pool_id)
    if shown is None:
        raise violated("OC-CTRL-2072", f"pool {world.service.pool_id}", world.answer.json["pools"])
    waiting = {queue["priority"]: queue["depth"] for queue in shown["queues"]}
    if waiting != {"interactive": 1, "batch": 0}:
        raise violated("OC-CTRL-2072", "one interactive task waits, and no batch task", waiting)
    slots = [(replica["slots_active"], replica["slots_total"]) for replica in shown["replicas"]]
    if any(active != total for active, total in slots):
        raise violated("OC-CTRL-2072", "every slot of every replica is active", slots)


@then("it shows the tasks that run, and not the one that waits")
def running_tasks_are_shown(world: World) -> None:
    shown = {task["task_id"] for task in world.answer.json["tasks"]}
    running = {body["task_id"] for name, body in world.bodies.items() if name.startswith("running")}
    if shown != running:
        raise violated("OC-CTRL-2072", f"the running tasks {sorted(running)}", sorted(shown))


@then("no prompt is in the answer")
def no_prompt_is_shown(world: World) -> None:
    for prompt in (PROMPT, ENDLESS_PROMPT[:12]):
        if prompt.encode() in world.answer.body:
            raise violated("OC-CTRL-2072", "no prompt", "a prompt is in the answer")


@then("the answer is a page that may load nothing of others")
def the_answer_is_a_page(world: World) -> None:
    kind = world.answer.header("content-type") or ""
    if not kind.startswith("text/html"):
        raise violated("OC-CTRL-2073", "text/html", kind)
    policy = world.answer.header("content-security-policy") or ""
    if "default-src 'none'" not in policy or "unsafe" in policy or "http" in policy or "*" in policy:
        raise violated("OC-CTRL-2073", "a Content-Security-Policy that begins with nothing", policy)


@then("neither a pool nor a task is named in it")
def nothing_is_told(world: World) -> None:
    for fact in (world.target.capabilities()["engines"][0]["engine_version"], *world.admitted):
        if fact.encode() in world.answer.body:
            raise violated("OC-CTRL-2073", "no fact of the server", fact)
