"""The contract judges raw JSON of both sides."""

import json
from typing import Any

import pytest

from harness.history import Exchange, Frame, Origin
from harness.schema import Breach, contract

TASK = {
    "task_id": "7b6a8c1e-6f0f-4f6e-9d58-4c1c1b1f4a10",
    "session_id": "0f4f2a52-3a0e-4b8e-8a52-4df3a9b0a001",
    "workload": "completion",
    "model_ref": "default",
    "engine": "llamacpp",
    "ctx": 2048,
    "priority": "interactive",
    "max_tokens": 64,
    "deadline_ms": 30000,
    "prompt": "Hello",
}
ADMITTED = {"task_id": TASK["task_id"], "queue_position": 0, "predicted_start_ms": 0, "backoff_ms": 0}


def breaches(
    *,
    method: str = "POST",
    path: str = "/v1/tasks",
    sent: object = TASK,
    status: int = 202,
    answered: object = ADMITTED,
    media: str = "application/json",
    origin: Origin = "harness",
) -> list[Breach]:
    exchange = Exchange(
        method=method,
        path=path,
        request_headers=(),
        request_body=json.dumps(sent).encode() if sent is not None else b"",
        status=status,
        headers=(("content-type", media),),
        body=json.dumps(answered).encode() if answered is not None else b"",
        sent_ms=0.0,
        answered_ms=1.0,
        origin=origin,
    )
    return list(contract().judge(exchange))


@pytest.mark.req("OC-CTRL-2067")
@pytest.mark.parametrize(
    "case",
    [
        pytest.param({}, id="admission"),
        pytest.param({"answered": {**ADMITTED, "new": 1}}, id="answers-may-grow"),
        pytest.param({"status": 400, "answered": {"code": "INVALID_PARAMS", "message": "m"}}, id="error"),
        pytest.param({"sent": {"a": 1}, "origin": "hostile"}, id="hostile-requests-are-not-judged"),
        pytest.param(
            {"method": "GET", "path": "/healthz", "sent": None, "status": 200, "answered": {"status": "ok"}},
            id="control",
        ),
        pytest.param(
            {
                "method": "GET",
                "path": "/nowhere",
                "sent": None,
                "status": 404,
                "answered": {"code": "NOT_FOUND", "message": "m"},
            },
            id="no-such-path",
        ),
        pytest.param(
            {"method": "PUT", "sent": None, "status": 405, "answered": {"code": "METHOD_NOT_ALLOWED", "message": "m"}},
            id="no-such-method",
        ),
        pytest.param(
            {"path": f"/v1/tasks/{TASK['task_id']}/cancel", "sent": None, "status": 204, "answered": None},
            id="no-content",
        ),
    ],
)
def test_what_the_contract_allows_passes(case: dict[str, Any]) -> None:
    assert [] == breaches(**case)


@pytest.mark.req("OC-CTRL-2067")
@pytest.mark.parametrize(
    ("case", "part"),
    [
        pytest.param({"sent": {**TASK, "more": 1}}, "request", id="unknown-field-sent"),
        pytest.param({"sent": {**TASK, "task_id": "x"}}, "request", id="bad-uuid-sent"),
        pytest.param({"sent": {**TASK, "inputs": ["a"]}}, "request", id="prompt-and-inputs-sent"),
        pytest.param({"answered": {**ADMITTED, "queue_position": -1}}, "answer", id="negative-position"),
        pytest.param({"answered": {"task_id": TASK["task_id"]}}, "answer", id="fields-missing"),
        pytest.param(
            {"status": 418, "answered": {"code": "INVALID_PARAMS", "message": "m"}}, "answer", id="undocumented-status"
        ),
        pytest.param({"media": "text/plain"}, "answer", id="other-content-type"),
        pytest.param(
            {"status": 429, "answered": {"code": "ADMISSION_REJECT", "message": "m"}}, "answer", id="429-without-advice"
        ),
        pytest.param(
            {"method": "GET", "path": "/nowhere", "sent": None, "status": 404, "answered": {"detail": "m"}},
            "answer",
            id="no-envelope",
        ),
        pytest.param(
            {"path": f"/v1/tasks/{TASK['task_id']}/cancel", "sent": None, "status": 204},
            "answer",
            id="content-with-204",
        ),
    ],
)
def test_what_the_contract_forbids_is_caught(case: dict[str, Any], part: str) -> None:
    found = breaches(**case)

    assert {part} == {breach.part for breach in found}


@pytest.mark.req("OC-CTRL-2021")
@pytest.mark.parametrize(
    ("event", "data"),
    [
        pytest.param("token", '{"t":"","i":0}', id="empty-piece"),
        pytest.param("end", '{"tokens_out":1,"decode_ms":0,"extra":true}', id="frames-may-grow"),
        pytest.param("error", '{"code":"CANCELED","message":"m"}', id="canceled"),
    ],
)
def test_right_frames_pass(event: str, data: str) -> None:
    assert [] == list(contract().judge_frame(Frame(event=event, data=data, id="0", at_ms=0.0)))


@pytest.mark.req("OC-CTRL-2021")
@pytest.mark.parametrize(
    ("event", "data"),
    [
        pytest.param("token", '{"t":"x"}', id="no-index"),
        pytest.param("token", '{"t":null,"i":0}', id="no-text"),
        pytest.param("token", "x", id="not-json"),
        pytest.param("message", "{}", id="unnamed-event"),
        pytest.param("error", '{"code":"OOPS","message":"m"}', id="unknown-code"),
        pytest.param("metrics", '{"on_time_probability":1.5}', id="not-a-probability"),
    ],
)
def test_wrong_frames_are_caught(event: str, data: str) -> None:
    assert list(contract().judge_frame(Frame(event=event, data=data, id="0", at_ms=0.0)))
