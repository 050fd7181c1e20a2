"""The judge asks every rule of everything that was recorded, whoever sent it."""

import pytest

from harness.checks.judge import judge
from harness.history import Exchange, Frame, History, Stream
from harness.schema import contract

ID = ("x-correlation-id", "3d6f0a8e-2b5c-4d1e-8f90-1a2b3c4d5e6f")
JSON = ("content-type", "application/json")
EVENTS = ("content-type", "text/event-stream")


def exchange(*headers: tuple[str, str], path: str = "/healthz", sent: bytes = b"", body: bytes = b"") -> Exchange:
    return Exchange("GET", path, (), sent, 200, headers, body, 0.0, 1.0)


def stream(*frames: Frame, headers: tuple[tuple[str, str], ...] = (ID, EVENTS)) -> History:
    opening = exchange(*headers, path="/v1/tasks/x/stream")
    return History(streams=[Stream(task_id="x", opening=opening, frames=list(frames), end="complete")])


STARTED = Frame("started", '{"queue_position":0,"predicted_start_ms":0}', "0", 0.0)
END = Frame("end", '{"tokens_out":0,"decode_ms":1}', "1", 0.0)
ALIVE = b'{"status":"ok"}'


@pytest.mark.req("OC-TEST-7006")
@pytest.mark.parametrize(
    "history",
    [
        pytest.param(History(), id="nothing"),
        pytest.param(History(exchanges=[exchange(ID, JSON, body=ALIVE)]), id="exchange"),
        pytest.param(stream(STARTED, END), id="stream"),
    ],
)
def test_what_is_right_is_left_alone(history: History) -> None:
    assert [] == list(judge(history, contract()))


@pytest.mark.req("OC-TEST-7006")
@pytest.mark.parametrize(
    ("history", "req"),
    [
        pytest.param(History(exchanges=[exchange(JSON, body=ALIVE)]), "OC-CTRL-2052", id="answer"),
        pytest.param(History(exchanges=[exchange(ID, JSON, body=b"{}")]), "ORCH-3044", id="schema-of-an-answer"),
        pytest.param(History(exchanges=[exchange(ID, JSON, body=ALIVE, sent=b"x")]), "ORCH-3044", id="our-request"),
        pytest.param(stream(STARTED, END, headers=(EVENTS,)), "OC-CTRL-2052", id="opening-of-a-stream"),
        pytest.param(stream(STARTED), "OC-CTRL-2022", id="stream"),
        pytest.param(stream(STARTED, Frame("end", "{}", "1", 0.0)), "OC-CTRL-2021", id="schema-of-a-frame"),
    ],
)
def test_what_is_wrong_is_found_wherever_it_is(history: History, req: str) -> None:
    assert req in {violation.req for violation in judge(history, contract())}
