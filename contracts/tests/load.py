"""Tasks of every sort over HTTP, so that every series of the metrics contract exists: both priorities, a cancel,
refusals for the reasons that alerts name, a task that its engine fails, a catalog verification.
"""

from typing import Any

from harness.client import Client, fresh_id
from harness.history import Exchange, History
from harness.target import Target

SLOTS, WAITING = 1, 2
END_MS = 60_000
DOWN, FAILING = "nobody-serves-this", "its-engine-fails"

SETTINGS: dict[str, Any] = {
    "pools": [
        {
            "id": "default",
            "engine": "llamacpp",
            "replicas": [{"kind": "mock", "slots": SLOTS, "token_ms": 2}],
            "queue": {"capacity_interactive": WAITING, "capacity_batch": WAITING},
        },
        {
            "id": "down",
            "engine": "llamacpp",
            "model_ref": DOWN,
            "replicas": [{"kind": "mock", "die_after_tokens": 0}],  # it does not pass its self-test
        },
        {
            "id": "failing",
            "engine": "llamacpp",
            "model_ref": FAILING,
            "replicas": [{"kind": "mock", "fail_after_tokens": 0}],
        },
    ]
}


def task(**changes: Any) -> dict[str, Any]:
    """A valid one."""
    ids = {"task_id": fresh_id(), "session_id": fresh_id()}
    shape = {"workload": "completion", "model_ref": "default", "engine": "llamacpp", "ctx": 1024}
    return {
        **ids,
        **shape,
        "priority": "interactive",
        "max_tokens": 8,
        "deadline_ms": 600_000,
        "prompt": "a",
        **changes,
    }


def put_under_load(target: Target) -> None:
    """One round; all has ended when it returns."""
    client = Client(target.url, token=target.token, history=History())
    try:
        _refusals(client)
        client.read_to_end([client.open_stream(_admitted(client, task(model_ref=FAILING)))], deadline_ms=END_MS)
        running = [_admitted(client, task(max_tokens=900)) for _ in range(SLOTS)]
        waiting = [_admitted(client, task(priority=p)) for p in ("interactive", "batch") for _ in range(WAITING)]
        assert "ADMISSION_REJECT" == _code(client.submit(task()))
        assert 204 == client.cancel(running[0]).status
        readers = [client.open_stream(task_id) for task_id in waiting]
        client.read_to_end(readers, deadline_ms=END_MS)
    finally:
        client.close()


def _refusals(client: Client) -> None:
    assert "INVALID_PARAMS" == _code(client.submit(task(ctx=10**6)))
    client.wait_until(
        lambda: _code(client.submit(task(model_ref=DOWN))) == "POOL_UNAVAILABLE",
        deadline_ms=END_MS,
        what="a refusal with POOL_UNAVAILABLE",
    )
    entry = {"id": f"model-{fresh_id()}", "digest": "sha256:" + "0" * 64}
    assert 201 == client.request("POST", "/v1/catalog/models", json=entry).status
    verified = client.request("POST", f"/v1/catalog/models/{entry['id']}/verify", json={})
    assert verified.status in (200, 202), verified.body


def _admitted(client: Client, body: dict[str, Any]) -> str:
    assert 202 == client.submit(body).status
    return str(body["task_id"])


def _code(exchange: Exchange) -> str:
    return str(exchange.json["code"]) if isinstance(exchange.json, dict) and "code" in exchange.json else ""
