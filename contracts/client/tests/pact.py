"""What the generated client asks of an orchestrator, and needs in its answers."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from pact import Pact, generate, match
from pact.interaction import HttpInteraction

from contracts.client import OrchQueueClient, errors, models
from contracts.client.tests.relied_on import body_of, example_of
from contracts.tests import pact_rules as rules
from contracts.tests.pact_writing import Describe, SomeText, asked, text

CLIENT, ORCHESTRATOR = "client", "orchestrator"
JSON, EVENTS = "application/json", "text/event-stream"
TOKEN = "t0ken"
ID = "7b6a3c52-2b9c-4e8e-9d7e-0d8f1c2b3a4d"
OTHER_ID = "0a1b2c3d-4e5f-4a6b-8c7d-9e0f1a2b3c4d"

READY = "the server is ready"
ENDED = "a task has ended"
CANCELED = "a task was canceled"
RUNNING = "a task is running"
SESSION = "a session lives"
TAKEN = "the id belongs to a task with another body"
FULL = "the queue is full"
DRAINED = "the pool is drained"

EARLIER = "(?:started|token|result|metrics)"
ANY = "(?:started|token|result|metrics|end|error)"
STREAM = (
    'id: 0\nevent: started\ndata: {"queue_position":0,"predicted_start_ms":0}\n\n'
    'id: 1\nevent: token\ndata: {"t":"a","i":0}\n\n'
    'id: 2\nevent: end\ndata: {"tokens_out":1,"decode_ms":1}\n\n'
)
REST = STREAM.partition("\n\n")[2]
FAILED = 'id: 0\nevent: error\ndata: {"code":"CANCELED","message":"canceled"}\n\n'


def event(name: str, data: str = rules.OBJECT) -> str:
    """A frame of this event, with an id."""
    field = r"(?:(?!data:)\g<other>)*?"
    return rf"(?={field}event: ?{name}\g<nl>)(?={field}id: ?\d+\g<nl>){rules.frame(data)}"


def member(name: str, path: str, value: str, what: str) -> str:
    """Each frame of this event has it."""
    wrong = rf"(?!{event(name, rf'(?!{rules.having(path, value)}){rules.OBJECT}')})"
    return rules.rule(f"every {name} has {path}, {what}", rf"(?:{wrong}{rules.frame()})++")


FRAME_RULES = (
    rules.rule(
        "every frame has an id and an event of the contract",
        rf"(?:{event(ANY)})++",
    ),
    rules.rule("end is the last frame, and only that", rf"(?:{event(EARLIER)})*+{event('end')}"),
    rules.rule("there is a token", rf"(?:{rules.frame()})*?{event('token')}(?:{rules.frame()})*"),
    member("token", "t", rules.STRING, "a text"),
    member("token", "i", rules.COUNT, "its index"),
    member("end", "tokens_out", rules.COUNT, "the tokens of the text"),
    member("end", "decode_ms", rules.COUNT, "how long it took"),
)
STARTED_RULES = (
    rules.rule("started is the first frame", rf"{event('started')}(?:{rules.frame()})*+"),
    member("started", "queue_position", rules.COUNT, "how many were before it"),
    member("started", "predicted_start_ms", rules.COUNT, "when it was to start"),
)
AFTER_RULES = (rules.rule("the first frame is the one after the last that was received", r"(?=id: ?1\n)(?:[\s\S])*+"),)
FAILED_RULES = (
    rules.rule("error is the last frame, and only that", rf"(?:{event(EARLIER)})*+{event('error')}"),
    member("error", "code", rules.one_of("CANCELED"), "why"),
    member("error", "message", rules.STRING, "a text"),
)


@dataclass(frozen=True)
class Case:
    """One call of the client.

    Attributes:
        gives: what the call comes to: a value, or an error's type.
    """

    describe: Describe
    call: Callable[[OrchQueueClient], object]
    gives: object
    token: str | None = TOKEN


def task(**changes: Any) -> models.Task:
    """A task that any server admits."""
    example = example_of("CompletionTask")
    known = {name: example[name] for name in ("workload", "model_ref", "engine", "ctx", "priority", "deadline_ms")}
    return models.Task(
        **{"task_id": ID, "session_id": OTHER_ID, **known, "max_tokens": 8, "prompt": "Hello", **changes}
    )


def told(name: str, example: object) -> Any:
    """A value of the request that the verifier is told."""
    return match.like(example, generator=generate.provider_state(f"${{{name}}}"))


def task_body(**changes: object) -> dict[str, object]:
    """`task` as JSON."""
    given = task()
    return {
        "task_id": told("task_id", ID),
        "session_id": told("session_id", OTHER_ID),
        "workload": "completion",
        "model_ref": told("model_ref", given.model_ref),
        "engine": told("engine", given.engine),
        "ctx": match.int(given.ctx),
        "priority": "interactive",
        "max_tokens": match.int(8),
        "deadline_ms": match.int(given.deadline_ms),
        "prompt": match.str("Hello"),
        **changes,
    }


def authorized(interaction: HttpInteraction, method: str, path: str, value: str | None = None) -> HttpInteraction:
    """A request with the token; `${value}` of the path is told to the verifier."""
    generators: dict[str, Any] = {
        "header": {"Authorization": {"type": "ProviderState", "expression": "Bearer ${token}", "dataType": "STRING"}}
    }
    if value is not None:
        expression = path.replace(ID, f"${{{value}}}")
        generators["path"] = {"type": "ProviderState", "expression": expression, "dataType": "STRING"}
    return (
        interaction.with_request(method, path)
        .with_header("Authorization", match.regex(f"Bearer {TOKEN}", regex=r"Bearer .+"))
        .with_generators(generators, part="Request")
    )


def correlated(interaction: HttpInteraction, status: int) -> HttpInteraction:
    """An answer; each has a correlation id."""
    return interaction.will_respond_with(status).with_header("X-Correlation-Id", match.regex("c-1", regex=r".+"))


def refused(interaction: HttpInteraction, status: int, code: str) -> HttpInteraction:
    """A refusal."""
    body = {"code": SomeText(code, code), "message": match.str("a text")}
    return correlated(interaction, status).with_body(body, JSON)


def capabilities(pact: Pact) -> None:
    interaction = asked(pact, "a question for its capabilities", READY, "ORCH-3025")
    correlated(authorized(interaction, "GET", "/v1/capabilities"), 200).with_body(
        body_of("Capabilities", plane="control.yaml"), JSON
    )


def health(pact: Pact) -> None:
    interaction = authorized(
        asked(pact, "a question for a pool's health", READY, "ORCH-3010"), "GET", f"/v1/pools/{ID}/health", "pool_id"
    )
    correlated(interaction, 200).with_body(body_of("PoolHealth", plane="control.yaml"), JSON)


def admitted(pact: Pact) -> None:
    interaction = authorized(asked(pact, "a task", READY, "ORCH-2001"), "POST", "/v1/tasks").with_body(
        task_body(), JSON
    )
    correlated(interaction, 202).with_body(body_of("AdmissionResponse"), JSON)


def status(pact: Pact) -> None:
    interaction = authorized(
        asked(pact, "a question for a task that has ended", ENDED, "ORCH-3024"), "GET", f"/v1/tasks/{ID}", "task_id"
    )
    body = body_of("TaskStatus", state=SomeText("ended", "ended"))
    correlated(interaction, 200).with_body(body, JSON)


def _stream(pact: Pact, description: str, given: str, *requirements: str) -> HttpInteraction:
    interaction = asked(pact, description, given, *requirements)
    return authorized(interaction, "GET", f"/v1/tasks/{ID}/stream", "task_id").with_header("Accept", EVENTS)


def streamed(pact: Pact) -> None:
    interaction = correlated(_stream(pact, "a stream from its beginning", ENDED, "ORCH-2002"), 200)
    interaction.with_body(STREAM, EVENTS).with_matching_rules(rules.body_rules([*STARTED_RULES, *FRAME_RULES]))


def resumed(pact: Pact) -> None:
    interaction = _stream(pact, "the rest of a stream", ENDED, "ORCH-2002").with_header("Last-Event-ID", "0")
    answer = correlated(interaction, 200).with_body(REST, EVENTS)
    answer.with_matching_rules(rules.body_rules([*AFTER_RULES, *FRAME_RULES]))


def failed(pact: Pact) -> None:
    interaction = correlated(_stream(pact, "a stream of a canceled task", CANCELED, "ORCH-3026"), 200)
    interaction.with_body(FAILED, EVENTS).with_matching_rules(rules.body_rules(FAILED_RULES))


def cancel(pact: Pact) -> None:
    interaction = asked(pact, "a cancel of a running task", RUNNING, "ORCH-2003")
    correlated(authorized(interaction, "POST", f"/v1/tasks/{ID}/cancel", "task_id"), 204)


def session(pact: Pact) -> None:
    interaction = asked(pact, "a question for a session", SESSION, "ORCH-3023")
    interaction = authorized(interaction, "GET", f"/v1/sessions/{ID}", "session_id")
    correlated(interaction, 200).with_body(body_of("SessionInfo"), JSON)


def forget(pact: Pact) -> None:
    interaction = asked(pact, "the end of a session", SESSION, "ORCH-3023")
    correlated(authorized(interaction, "DELETE", f"/v1/sessions/{ID}", "session_id"), 204)


def unauthenticated(pact: Pact) -> None:
    interaction = asked(pact, "a question without a token", READY, "ORCH-3035").with_request("GET", "/v1/capabilities")
    refused(interaction, 401, "UNAUTHENTICATED").with_header(
        "WWW-Authenticate", match.regex("Bearer", regex=r"Bearer.*")
    )


def forbidden(pact: Pact) -> None:
    interaction = asked(pact, "a question with a wrong token", READY, "ORCH-3035").with_request(
        "GET", "/v1/capabilities"
    )
    refused(interaction.with_header("Authorization", "Bearer wrong"), 403, "FORBIDDEN")


def invalid(pact: Pact) -> None:
    interaction = authorized(asked(pact, "a task that is none", READY, "ORCH-3014"), "POST", "/v1/tasks")
    refused(interaction.with_body(task_body(max_tokens=0), JSON), 400, "INVALID_PARAMS")


def unknown(pact: Pact) -> None:
    interaction = asked(pact, "a question for an unknown task", READY, "ORCH-2006")
    refused(authorized(interaction, "GET", f"/v1/tasks/{OTHER_ID}"), 404, "NOT_FOUND")


def conflict(pact: Pact) -> None:
    interaction = authorized(asked(pact, "a task of an id that is taken", TAKEN, "ORCH-3024"), "POST", "/v1/tasks")
    refused(interaction.with_body(task_body(), JSON), 409, "CONFLICT")


def full(pact: Pact) -> None:
    interaction = authorized(asked(pact, "a task too many", FULL, "ORCH-2007", "ORCH-3005"), "POST", "/v1/tasks")
    answer = correlated(interaction.with_body(task_body(), JSON), 429)
    _waits(answer).with_body(body_of("BackpressureEnvelope", retriable=True), JSON)


def unready(pact: Pact) -> None:
    interaction = authorized(asked(pact, "a task for a drained pool", DRAINED, "ORCH-3010"), "POST", "/v1/tasks")
    _waits(refused(interaction.with_body(task_body(), JSON), 503, "POOL_UNREADY"))


def _waits(answer: HttpInteraction) -> HttpInteraction:
    """It says how long to wait, in both units."""
    for name in ("Retry-After", "X-Backoff-Ms"):
        answer.with_header(name, match.regex("1", regex=r"\d+"))
    return answer


def frames(client: OrchQueueClient, last_event_id: int | None = None) -> list[str]:
    """The types of a stream's frames."""
    with client.stream_task(ID, last_event_id=last_event_id) as stream:
        return [type(event.frame).__name__ for event in stream]


CASES: Sequence[Case] = (
    Case(capabilities, lambda client: type(client.get_capabilities().body), models.Capabilities),
    Case(health, lambda client: type(client.get_pool_health(ID).body), models.PoolHealth),
    Case(admitted, lambda client: type(client.create_task(task()).body), models.AdmissionResponse),
    Case(status, lambda client: client.get_task(ID).body.state, "ended"),
    Case(streamed, frames, ["StartedFrame", "TokenFrame", "EndFrame"]),
    Case(resumed, lambda client: frames(client, last_event_id=0), ["TokenFrame", "EndFrame"]),
    Case(failed, frames, ["ErrorFrame"]),
    Case(cancel, lambda client: client.cancel_task(ID).body, None),
    Case(session, lambda client: type(client.get_session(ID).body), models.SessionInfo),
    Case(forget, lambda client: client.delete_session(ID).body, None),
    Case(unauthenticated, lambda client: client.get_capabilities(), errors.UnauthenticatedError, token=None),
    Case(forbidden, lambda client: client.get_capabilities(), errors.ForbiddenError, token="wrong"),
    Case(invalid, lambda client: client.create_task(task(max_tokens=0)), errors.InvalidParamsError),
    Case(unknown, lambda client: client.get_task(OTHER_ID), errors.NotFoundError),
    Case(conflict, lambda client: client.create_task(task()), errors.ConflictError),
    Case(full, lambda client: client.create_task(task()), errors.AdmissionRejectError),
    Case(unready, lambda client: client.create_task(task()), errors.PoolUnreadyError),
)


def pact_text() -> str:
    """The pact file."""
    return text(CLIENT, ORCHESTRATOR, _describes())


def _describes() -> Iterator[Describe]:
    yield from (case.describe for case in CASES)
