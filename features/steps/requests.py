"""Requests of any kind: by method and path, by raw bytes, with and without what they need; and their answers."""

from pytest_bdd import parsers, then, when

from features.steps import faults, hostile
from features.steps.world import World
from harness.checks import answer as rules
from harness.checks.violation import Violation
from harness.client import ANONYMOUS, fresh_id
from harness.expect import ViolationError, assert_error, assert_status, require
from harness.history import Exchange, Origin

JSON = {"Content-Type": "application/json"}
WITH_BODY = ("POST /v1/tasks",)


def send(
    world: World,
    request: str,
    *,
    headers: dict[str, str] | None = None,
    token: str | None = None,
    origin: Origin = "harness",
) -> Exchange:
    """Send `METHOD PATH`; ID stands for the scenario's task, or for an id that nobody uses; POOL for the pool.

    A stranger sends no body with what would change a pool: where it is let in after all, nothing comes of it.
    """
    method, _, path = request.partition(" ")
    task = str(world.bodies["task"]["task_id"]) if "task" in world.bodies else fresh_id()
    path = path.replace("ID", task).replace("POOL", world.service.pool_id)
    body = world.body() if request in WITH_BODY else None
    answer = world.client.request(method, path, json=body, headers=headers, token=token, origin=origin)
    world.answers.append(answer)
    return answer


# ── when ──


@when(parsers.re(r"(?P<request>(?:GET|POST|PUT|DELETE) \S+) is sent$"))
def is_sent(world: World, request: str) -> None:
    send(world, request)


@when(parsers.re(r"(?P<request>(?:GET|POST|PUT|DELETE) \S+) is sent (?P<count>\d+) times$"))
def is_sent_times(world: World, request: str, count: str) -> None:
    for _ in range(int(count)):
        send(world, request)


@when(parsers.re(r"(?P<request>(?:GET|POST|PUT|DELETE) \S+) is sent without a token$"))
def is_sent_without_a_token(world: World, request: str) -> None:
    send(world, request, token=ANONYMOUS, origin="hostile")


@when(parsers.re(r'(?P<request>(?:GET|POST) \S+) is sent with the token "(?P<token>[^"]+)"$'))
def is_sent_with_the_token(world: World, request: str, token: str) -> None:
    own = world.target.token or ""
    if token == "no-ascii":  # noqa: S105 - a name in a table
        head = world.client.raw_head("GET", "/v1/capabilities").replace(own.encode(), "t\u00f6ken".encode())
        world.answers.append(world.client.send_raw(head + b"\r\n"))
        return
    named = {"too-long": own + "x", "a-prefix": own[:-1]}
    send(world, request, token=named.get(token, token), origin="hostile")


@when(parsers.re(r'(?P<request>GET \S+) is sent with the header "(?P<value>[^"]*)"$'))
def is_sent_with_the_header(world: World, request: str, value: str) -> None:
    send(world, request, headers={"Authorization": value}, token=ANONYMOUS)


@when(parsers.re(r'(?P<request>GET \S+) is sent with the (?P<name>Host|Origin) "(?P<value>[^"]*)"$'))
def is_sent_with_another_host(world: World, request: str, name: str, value: str) -> None:
    send(world, request, headers={name: value})


@when(parsers.re(r"(?P<request>GET \S+) is sent with the token in its query$"))
def is_sent_with_the_token_in_its_query(world: World, request: str) -> None:
    send(world, f"{request}?token={world.target.token}&access_token={world.target.token}", token=ANONYMOUS)


@when(parsers.re(r'(?P<request>(?:GET|POST) \S+) is sent with X-Correlation-Id "(?P<value>.+)"$'))
def is_sent_with_an_id(world: World, request: str, value: str) -> None:
    send(world, request, headers={"X-Correlation-Id": value})


@when(parsers.re(r"(?P<request>GET \S+) is sent with an X-Correlation-Id of (?P<length>\d+) characters$"))
def is_sent_with_an_id_of(world: World, request: str, length: str) -> None:
    world.notes["id"] = "".join(chr(33 + number % 94) for number in range(int(length)))
    send(world, request, headers={"X-Correlation-Id": world.notes["id"]})


@when(parsers.parse('a task is submitted with X-Correlation-Id "{value}"'))
def a_task_with_an_id(world: World, value: str) -> None:
    world.bodies["task"] = body = world.body()
    world.answers.append(world.client.submit(body, headers={"X-Correlation-Id": value}))


@when(parsers.parse("a task is submitted with an X-Correlation-Id that {which}"))
def a_task_with_a_bad_id(world: World, which: str) -> None:
    world.bodies["task"] = task = world.body()
    body = hostile.dumped(task)
    lines = [hostile.CORRELATION_IDS[which], hostile.JSON.rstrip(), b"Content-Length: %d" % len(body)]
    head = world.client.raw_head("POST", "/v1/tasks")
    world.answers.append(world.client.send_raw(head + b"\r\n".join(lines) + b"\r\n\r\n" + body))


@when(parsers.re(r"(?P<name>[a-z0-9_-]+) is posted as a task$"))
def is_posted(world: World, name: str) -> None:
    world.bodies["task"] = task = world.body()
    body = hostile.BODIES[name](task)
    world.answers.append(world.client.request("POST", "/v1/tasks", body=body, headers=JSON, origin="hostile"))


@when(parsers.parse("a task is posted as {media}"))
def a_task_is_posted_as(world: World, media: str) -> None:
    world.bodies["task"] = task = world.body()
    headers = {} if media == "nothing-at-all" else {"Content-Type": media}
    body = hostile.dumped(task)
    world.answers.append(world.client.request("POST", "/v1/tasks", body=body, headers=headers, origin="hostile"))


@when(parsers.parse("a task of 10 MB is posted {how}"))
def a_large_task_is_posted(world: World, how: str) -> None:
    world.bodies["task"] = task = world.body(prompt="x" * hostile.LARGE_BYTES)
    body = hostile.dumped(task)
    head = world.client.raw_head("POST", "/v1/tasks") + hostile.JSON
    if how == "in-chunks":
        whole = head + b"Transfer-Encoding: chunked\r\n\r\n" + hostile.chunked(body)
    else:
        whole = head + b"Content-Length: %d\r\n\r\n" % len(body) + body
    world.answers.append(world.client.send_raw(whole))


@when(parsers.re(r"(?P<name>[a-zA-Z0-9-]+) is sent as it is$"))
def bytes_are_sent(world: World, name: str) -> None:
    world.bodies["task"] = task = world.body()
    head = world.client.raw_head("POST", "/v1/tasks")
    world.answers.append(world.client.send_raw(hostile.NOT_HTTP[name](head, hostile.dumped(task))))


@when(parsers.re(r"(?P<part>[a-z-]+) is sent, and nothing more$"))
def a_part_is_sent(world: World, part: str) -> None:
    world.bodies["task"] = task = world.body(prompt="x" * 256)
    head = world.client.raw_head("POST", "/v1/tasks")
    world.answers.append(world.client.send_raw(hostile.UNFINISHED[part](head, hostile.dumped(task))))


@when(parsers.parse("a client sends {part} and goes away"))
def a_client_goes_away(world: World, part: str) -> None:
    world.bodies["task"] = task = world.body(prompt="x" * 256)
    head = world.client.raw_head("POST", "/v1/tasks")
    faults.go_away(world, hostile.UNFINISHED[part](head, hostile.dumped(task)))
    world.admit("afterwards", world.body())  # when this has ended, the server has long seen the other one leave
    world.read_to_end("afterwards")


# ── then ──


@then(parsers.re(r"it is refused with (?P<code>[A-Z_]+)$"))
def it_is_refused(world: World, code: str) -> None:
    assert_error(world.answer, code)


@then(parsers.parse("it is answered with {status:d}"))
def it_is_answered(world: World, status: int) -> None:
    assert_status(world.answer, status, req="ORCH-2006")


@then("it names the engine that was asked for")
def it_names_the_engine(world: World) -> None:
    assert world.bodies["task"]["engine"] == world.answer.json.get("engine"), world.answer


@then(parsers.re(r"its message names (?P<field>[a-z_]+)$"))
def it_names_the_field(world: World, field: str) -> None:
    if field not in world.answer.json["message"]:
        raise ViolationError([Violation("OC-CTRL-2034", f"a message that names {field}", world.answer.json["message"])])


@then("its message names the model that is served")
def it_names_what_is_served(world: World) -> None:
    if world.service.model_ref not in world.answer.json["message"]:
        expected = f"a message that names {world.service.model_ref}"
        raise ViolationError([Violation("OC-CTRL-2013", expected, world.answer.json["message"])])


@then("the answer says how to authenticate")
def it_says_how(world: World) -> None:
    assert (world.answer.header("www-authenticate") or "").lower().startswith("bearer"), world.answer


@then(parsers.parse('the answer has X-Correlation-Id "{value}"'))
def the_answer_has_the_id(world: World, value: str) -> None:
    assert value == world.answer.header("x-correlation-id"), world.answer


@then("the answer has that X-Correlation-Id")
def the_answer_has_that_id(world: World) -> None:
    assert world.notes["id"] == world.answer.header("x-correlation-id"), world.answer


@then(parsers.parse("the answers have {count:d} different UUIDv4 as X-Correlation-Id"))
def the_answers_have_fresh_ids(world: World, count: int) -> None:
    require(violation for answer in world.answers[-count:] for violation in rules.correlation_id(answer))
    ids = {answer.header("x-correlation-id") for answer in world.answers[-count:]}
    assert count == len(ids), ids


@then("nothing of the id comes back")
def nothing_of_the_id_comes_back(world: World) -> None:
    """Neither as the id, nor as a header of its own, nor in the message."""
    shown = " ".join(f"{name}: {value}" for name, value in world.answer.headers) + world.answer.body.decode()
    assert not any(mark in shown for mark in ("mark", "xxxx", "injected")), world.answer
