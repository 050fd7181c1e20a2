"""Seeds: the same pieces for the same inputs, and the engine's own word on it."""

from pytest_bdd import parsers, then, when

from features.steps.world import World
from harness.checks.violation import Violation
from harness.engines.joining import JOINS_TOKENS
from harness.engines.real_llamacpp import busy_slots, completion, properties
from harness.expect import ViolationError, assert_ended_well
from harness.history import Stream
from harness.sampler_profile import PROFILES

TOKENS = 24


def pieces(world: World, stream: Stream) -> list[str]:
    """The pieces of a stream; of an engine that joins tokens its text as one piece, and their number."""
    found = [frame.payload["t"] for frame in stream.tokens]
    return ["".join(found), str(len(found))] if found and world.service.engine in JOINS_TOKENS else found


def decode(world: World, name: str, **changes: object) -> None:
    """Decode one task to its end and keep its pieces."""
    world.admit(name, world.body(max_tokens=TOKENS, determinism="strict", **changes))
    stream = world.read_to_end(name)
    assert_ended_well(stream)
    world.texts.append(pieces(world, stream))


@when(parsers.re(r"the same prompt is decoded with the seeds (?P<seeds>\d+(?:, \d+)*)$"))
def decoded_with_seeds(world: World, seeds: str) -> None:
    for number, seed in enumerate(seeds.split(", ")):
        decode(world, f"decoded {number}", seed=int(seed))


@when("its prompt is decoded with the seed that started named")
def decoded_again(world: World) -> None:
    first = world.stream("task")
    world.texts.append(pieces(world, first))
    seed = first.frames[0].payload["seed"]
    as_int64 = seed - 2**64 if seed >= 2**63 else seed
    world.admit("again", {**world.bodies["task"], **world.fresh_ids(), "seed": as_int64})
    world.texts.append(pieces(world, world.read_to_end("again")))


@when(parsers.parse("a strict task with seed {seed:d} is read to the end"))
def a_strict_task(world: World, seed: int) -> None:
    decode(world, "task", seed=seed)


@then("both streams have the same pieces")
@then("the first and the last stream have the same pieces")
def they_are_the_same(world: World) -> None:
    first, last = world.texts[0], world.texts[-1]
    assert first, "the first stream has no pieces"
    if first != last:
        at = next((n for n, pair in enumerate(zip(first, last, strict=False)) if pair[0] != pair[1]), "the end")
        raise ViolationError([Violation("ORCH-3045", f"{first}", f"{last}, different at {at}")])


@then("the streams are not all the same")
def they_differ(world: World) -> None:
    assert len({tuple(pieces) for pieces in world.texts}) > 1, f"every seed gave {world.texts[0]}"


@then(parsers.parse("started names engine_version, sampler_profile_version and seed {seed:d}"))
def started_names_the_seed(world: World, seed: int) -> None:
    started = world.stream("decoded 0").frames[0].payload
    assert seed == started["seed"], started
    assert started["engine_version"], started
    assert started["sampler_profile_version"], started


@then("its text is the engine's own answer to the same request")
def it_is_the_engines_own_answer(world: World) -> None:
    assert world.engine_url is not None
    task = world.bodies["task"]
    own = {"prompt": task["prompt"], "n_predict": task["max_tokens"], "seed": task["seed"], "cache_prompt": False}
    expected = completion(world.engine_url, {**own, **PROFILES["v1"]})
    assert expected, "the engine answered nothing"
    assert expected == world.stream("task").text


@then(parsers.parse("the engine has no busy slot within {within_ms:d} ms"))
def the_engine_is_idle(world: World, within_ms: int) -> None:
    url = world.engine_url
    assert url is not None
    what = "an idle slot in the engine's own /slots"
    world.wait_within(lambda: busy_slots(url) == 0, within_ms, what=what, figure="engine_idle_ms")


@then("started names the engine's own version and the digest of its model")
def started_names_the_engines_version(world: World) -> None:
    assert world.engine_url is not None
    started = world.stream("task").frames[0].payload
    own = properties(world.engine_url)
    assert own.build == started["engine_version"]
    assert own.model_digest == started["model_digest"]
