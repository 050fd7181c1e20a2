"""Authorization headers that nobody gave out, and headers that ask for more than a task does."""

import random
from collections.abc import Callable

from pytest_bdd import parsers, then, when

from features.steps.world import World
from harness.checks.violation import Violation
from harness.client import ANONYMOUS
from harness.expect import require

SEED = 2_042_208  # of the made-up headers: the same in every run
MARK = "stranger"

# What other servers take as a wish for a better lane: RFC 9218's, and those of proxies and gateways.
WISHES = {
    "Priority": "u=0",
    "X-Priority": "interactive",
    "X-Queue": "interactive",
    "X-Task-Priority": "interactive",
    "X-Request-Priority": "high",
    "Importance": "high",
}

Mutation = Callable[[random.Random, str], str]

MUTATIONS: tuple[Mutation, ...] = (
    lambda rng, own: f"Bearer {own[: rng.randrange(len(own))]}{MARK}",
    lambda rng, own: f"Bearer {own}{MARK}{_noise(rng)}",
    lambda rng, own: f"Bearer {MARK}{own}",
    lambda rng, own: f"Bearer {own.swapcase()}{MARK}",
    lambda rng, own: f"Bearer {MARK} {own}",
    lambda rng, own: f"Basic {MARK}{_noise(rng)}",
    lambda rng, own: f"{_noise(rng)}{MARK} {own}",
    lambda rng, own: f"Bearer {_noise(rng)}{MARK}{_noise(rng)}",
    lambda rng, own: f"Bearer ' OR '1'='1' -- {MARK}",
    lambda rng, own: f"Digest username={MARK}, response={_noise(rng)}",
)


@when(parsers.parse("GET /v1/capabilities is sent with {count:d} made-up Authorization headers"))
def made_up_headers(world: World, count: int) -> None:
    own, rng = world.target.token or "", random.Random(SEED)  # noqa: S311 - the same in every run
    for number in range(count):
        value = MUTATIONS[number % len(MUTATIONS)](rng, own)
        headers = {"Authorization": value}
        answer = world.client.request("GET", "/v1/capabilities", headers=headers, token=ANONYMOUS, origin="hostile")
        world.answers.append(answer)


@when("a batch task is submitted with headers that ask for interactive, and then an interactive task")
def a_batch_task_that_wishes(world: World) -> None:
    world.notes["lanes"] = ["batch", "interactive"]
    for number, lane in enumerate(world.notes["lanes"]):
        name = f"waiting {number}"
        world.bodies[name] = body = world.long_body(priority=lane)
        world.answers.append(world.client.submit(body, headers=WISHES if lane == "batch" else {}))
        world.open(name)


@then("each of them is refused as unknown")
def each_is_refused(world: World) -> None:
    """A token that is none is 401, and one that is wrong 403; which of them depends on the header's form."""
    assert world.answers
    codes = {answer.json.get("code") if isinstance(answer.json, dict) else None for answer in world.answers}
    wrong = codes - {"UNAUTHENTICATED", "FORBIDDEN"}
    shown = next((str(a) for a in world.answers if a.status not in (401, 403)), "")
    found = [Violation("ORCH-3035", "401 UNAUTHENTICATED or 403 FORBIDDEN", f"{wrong}", shown)] if wrong else []
    require(found)


@then("none of them is in the log")
def none_is_logged(world: World) -> None:
    process = world.target.process
    assert process is not None
    logged = process.stderr.read_text(encoding="utf-8") + process.stdout.read_text(encoding="utf-8")
    found = [Violation("OC-CTRL-2041", "no token in the log", f"{MARK!r} is there")] if MARK in logged else []
    require(found)


def _noise(rng: random.Random) -> str:
    return "".join(chr(rng.randint(33, 126)) for _ in range(rng.randint(0, 60)))
