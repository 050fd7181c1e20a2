"""The server as a process: what it prints, refuses, logs, and how it ends."""

import json
import os
import signal
import socket
import subprocess
import sys
import urllib.error
import urllib.request
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import jsonschema_rs
import pytest

LOG_SCHEMA = Path(__file__).parent.parent.parent / "contracts" / "logs" / "line.schema.json"
PLANTED = "planted-secret-7d1f"
TASK_EVENTS = ("task admitted", "task started", "task ended")


def without_token() -> dict[str, str]:
    """The environment of this moment: a test may have a PATH and a cache of its own."""
    return {name: value for name, value in os.environ.items() if name != "LLORCH_API_TOKEN"}


def command(*arguments: str) -> list[str]:
    """With nothing kept, unless a state folder is named."""
    state = [] if "--state-dir" in arguments else ["--ephemeral"]
    return [sys.executable, "-m", "reference_server", "serve", *state, *arguments]


def refused(*arguments: str) -> subprocess.CompletedProcess[str]:
    """A start that is expected to fail at once."""
    return subprocess.run(
        command(*arguments), capture_output=True, text=True, check=False, timeout=30, env=without_token()
    )


@contextmanager
def server(*arguments: str, **environment: str) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """A server process and its address, once it has said that it is ready."""
    process = subprocess.Popen(
        command("--port", "0", *arguments),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**without_token(), **environment},
    )
    try:
        assert process.stdout is not None
        yield process, json.loads(process.stdout.readline())["url"]
    finally:
        process.kill()
        process.communicate(timeout=10)


def call(url: str, body: object = None, *, token: str | None = None, method: str | None = None) -> bytes:
    headers = {"Content-Type": "application/json"} | ({"Authorization": f"Bearer {token}"} if token else {})
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(url, data, headers, method=method)  # noqa: S310 - http, and our own
    with urllib.request.urlopen(request, timeout=30) as answer:  # noqa: S310 - http, and our own
        return bytes(answer.read())


def task(**changes: object) -> dict[str, object]:
    body: dict[str, object] = {
        "task_id": str(uuid.uuid4()),
        "session_id": str(uuid.uuid4()),
        "workload": "completion",
        "model_ref": "default",
        "engine": "llamacpp",
        "ctx": 1024,
        "priority": "interactive",
        "max_tokens": 4,
        "deadline_ms": 3_600_000,
        "prompt": PLANTED,
    }
    return body | changes


@pytest.mark.req("ORCH-3027", "OC-CORE-1040", "OC-CTRL-2041", "OC-CTRL-2050")
def test_every_log_line_of_a_task_has_the_contracted_fields_and_no_secret_is_anywhere() -> None:
    with server(LLORCH_API_TOKEN=PLANTED) as (process, url):
        body = task()
        call(f"{url}/v1/tasks", body, token=PLANTED)
        call(f"{url}/v1/tasks/{body['task_id']}/stream", token=PLANTED)
        metrics = call(f"{url}/metrics", token=PLANTED).decode()
        process.send_signal(signal.SIGTERM)
        stdout, stderr = process.communicate(timeout=10)

    validator = jsonschema_rs.validator_for(json.loads(LOG_SCHEMA.read_text()))
    lines = [line for line in map(json.loads, stderr.splitlines()) if "job_id" in line]
    assert list(TASK_EVENTS) == [line["event"] for line in lines]
    assert [] == [error.message for line in lines for error in validator.iter_errors(line)]
    assert PLANTED not in stdout + stderr + metrics


REFUSED = 600  # logged with about 150 bytes each: more than a pipe holds, which is 64 KiB


def refuse_many(url: str) -> None:
    """Fill the pipe of the log."""
    body = json.dumps(task(ctx=1_000_000)).encode()
    for _ in range(REFUSED):
        assert 400 == error_of(f"{url}/v1/tasks", body, None)[0]


@pytest.mark.req("OC-CORE-1046")
def test_a_server_whose_log_nobody_reads_goes_on() -> None:
    """And all is there once somebody reads."""
    with server() as (process, url):
        refuse_many(url)
        body = task()
        call(f"{url}/v1/tasks", body)
        stream = call(f"{url}/v1/tasks/{body['task_id']}/stream")
        process.send_signal(signal.SIGTERM)
        _, stderr = process.communicate(timeout=10)

    events = [json.loads(line)["event"] for line in stderr.splitlines()]
    assert b"event: end" in stream
    assert 65_536 < len(stderr)
    assert REFUSED == events.count("task rejected")
    assert list(TASK_EVENTS) == [event for event in events if event in TASK_EVENTS]
    assert 0 == process.returncode


@pytest.mark.req("OC-CORE-1046")
def test_a_server_whose_log_is_never_read_ends_when_it_is_told_to() -> None:
    with server() as (process, url):
        refuse_many(url)
        process.send_signal(signal.SIGTERM)

        assert 0 == process.wait(timeout=20)


def error_of(url: str, data: bytes | None, token: str | None) -> tuple[int, str]:
    """Status, and everything that was answered with it."""
    headers = {"Content-Type": "application/json"} | ({"Authorization": f"Bearer {token}"} if token else {})
    request = urllib.request.Request(url, data, headers)  # noqa: S310 - http, and our own
    with pytest.raises(urllib.error.HTTPError) as refused:
        urllib.request.urlopen(request, timeout=30)  # noqa: S310 - http, and our own
    answer = refused.value
    return answer.code, f"{answer.headers}{answer.read().decode()}"


@pytest.mark.req("OC-CTRL-2041", "ORCH-2006")
def test_no_error_answer_repeats_a_token_or_a_prompt() -> None:
    """Of requests with the planted text in them: as their token, their prompt, a field's value, or bare bytes."""
    secret = "planted-token-1c9e"
    bodies = {
        "cut": json.dumps(task()).encode()[:-5],
        "no object": json.dumps([PLANTED]).encode(),
        "wrong type": json.dumps(task(max_tokens=PLANTED)).encode(),
        "wrong value": json.dumps(task(priority=PLANTED)).encode(),
        "another prompt type": json.dumps(task(prompt=[PLANTED])).encode(),
        "too long": json.dumps(task(ctx=1_000_000_000)).encode(),
        "no such model": json.dumps(task(model_ref="nobody-has-it")).encode(),
        "deadline": json.dumps(task(deadline_ms=-1)).encode(),
    }
    with server(LLORCH_API_TOKEN=secret) as (process, url):
        answers = {name: error_of(f"{url}/v1/tasks", body, secret) for name, body in bodies.items()}
        answers["no token"] = error_of(f"{url}/v1/tasks", bodies["cut"], None)
        answers["wrong token"] = error_of(f"{url}/v1/tasks", bodies["cut"], PLANTED)
        answers["unknown task"] = error_of(f"{url}/v1/tasks/{uuid.uuid4()}", None, secret)
        process.send_signal(signal.SIGTERM)
        log = "".join(process.communicate(timeout=10))

    assert {} == {name: answer for name, (status, answer) in answers.items() if PLANTED in answer or secret in answer}
    assert {401, 403, 404} < {status for status, _ in answers.values()} < {400, 401, 403, 404, 422}
    assert PLANTED not in log
    assert secret not in log


@pytest.mark.req("OC-CTRL-2042", "HME-002")
def test_without_a_token_only_loopback_is_served() -> None:
    done = refused("--host", "0.0.0.0", "--port", "0")  # noqa: S104 - it is refused

    assert 3 == done.returncode
    assert "LLORCH_API_TOKEN" in done.stderr


@pytest.mark.req("OC-CTRL-2042")
@pytest.mark.parametrize("token", [None, PLANTED])
def test_a_server_without_a_token_says_so(token: str | None) -> None:
    with server(**({"LLORCH_API_TOKEN": token} if token else {})) as (process, _):
        process.send_signal(signal.SIGTERM)
        events = [json.loads(line)["event"] for line in process.communicate(timeout=10)[1].splitlines()]

    assert (token is None) == any("no token is set" in event for event in events), events


@pytest.mark.req("OC-CTRL-2041")
def test_the_key_of_an_engine_is_told_to_nobody_when_it_cannot_be_reached(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    replica = {"kind": "external", "url": f"http://127.0.0.1:{port}", "api_key_env": "ENGINE_KEY"}
    file = tmp_path / "c.yaml"
    file.write_text(json.dumps({"pools": [{"engine": "vllm", "replicas": [replica]}]}))
    with server("--config", str(file), ENGINE_KEY=PLANTED) as (process, url):
        paths = ("/v1/pools/default/health", "/v1/capabilities", "/v1/status", "/metrics", "/")
        answers = [call(url + path).decode() for path in paths]
        answers.append(error_of(f"{url}/v1/tasks", json.dumps(task(engine="vllm", prompt="x")).encode(), None)[1])
        process.send_signal(signal.SIGTERM)
        answers.append("".join(process.communicate(timeout=10)))

    assert (False, True) == ((shown := json.loads(answers[0]))["ready"], bool(shown["last_error"]))
    assert [] == [answer for answer in answers if PLANTED in answer]


@pytest.mark.req("OC-CTRL-2071", "HME-003", "HME-004")
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_it_ends_with_zero_on_a_signal_and_has_printed_its_one_line(number: signal.Signals) -> None:
    with server() as (process, _):  # which has read that line
        process.send_signal(number)

        assert 0 == process.wait(timeout=10)
        assert process.stdout is not None
        assert "" == process.stdout.read()


@pytest.mark.req("OC-CTRL-2071", "OC-CORE-1018")
def test_a_task_that_goes_on_to_another_replica_while_the_server_stops_is_finished_first(tmp_path: Path) -> None:
    failing = {"kind": "mock", "prompt_ms": 700, "fail_after_tokens": 0}
    file = tmp_path / "c.yaml"
    file.write_text(json.dumps({"pools": [{"replicas": [failing, {"kind": "mock"}]}], "http": {"drain_ms": 60_000}}))
    with server("--config", str(file)) as (process, url):
        body = task()
        call(f"{url}/v1/tasks", body)
        with urllib.request.urlopen(f"{url}/v1/tasks/{body['task_id']}/stream", timeout=30) as stream:  # noqa: S310
            process.send_signal(signal.SIGTERM)
            frames = stream.read().decode()
        assert 0 == process.wait(timeout=15)

    assert '"replica_id":"default-1"' in frames
    assert "event: end" in frames


@pytest.mark.req("OC-CONFIG-6001")
def test_a_bad_configuration_is_a_usage_error(tmp_path: Path) -> None:
    file = tmp_path / "c.yaml"
    file.write_text("pools: [{engine: ollama}]")
    done = refused("--config", str(file))

    assert (2, True) == (done.returncode, "pools[0].engine" in done.stderr)


@pytest.mark.req("HME-001")
def test_a_taken_port_is_a_clear_error() -> None:
    with server() as (_, url):
        done = refused("--port", url.rpartition(":")[2])

    assert 3 == done.returncode
    assert "address already in use" in done.stderr


@pytest.mark.req("OC-POOL-3041", "OC-POOL-3042")
def test_what_a_stand_in_engine_of_a_killed_server_left_behind_is_ended_at_the_next_start(tmp_path: Path) -> None:
    engine, model, left = tmp_path / "llama-server", tmp_path / "m.gguf", tmp_path / "left"
    orphaned = f"echo $$ > {left}.tmp; mv {left}.tmp {left}; exec sleep 300"
    engine.write_text(
        f"#!/bin/sh\nsetsid sh -c '{orphaned}' >{os.devnull} 2>&1 &\nuntil [ -e {left} ]; do sleep 0.01; done\nexit 1\n"
    )
    engine.chmod(0o755)
    model.write_bytes(b"GGUF")
    replica = {"kind": "supervised", "binary": str(engine), "model_file": str(model)}
    file = tmp_path / "c.yaml"
    file.write_text(json.dumps({"experimental_cpu": True, "pools": [{"replicas": [replica]}]}))
    with server("--config", str(file)):
        orphan = int(left.read_text())
    assert Path(f"/proc/{orphan}").exists()
    file.write_text("{}")
    with server("--config", str(file)):
        assert not Path(f"/proc/{orphan}/exe").exists()


@pytest.mark.real_engine
@pytest.mark.req("ORCH-3001", "ORCH-3002", "ORCH-3054", "ORCH-1102", "OC-POOL-3040", "OC-POOL-3041")
def test_real_a_supervised_llama_server_is_preloaded_and_ends_with_us(tmp_path: Path) -> None:
    file = tmp_path / "c.yaml"
    file.write_text("{experimental_cpu: true, pools: [{replicas: [{kind: supervised, threads: 1}]}]}")
    with server("--config", str(file)) as (process, url):
        capability = json.loads(call(f"{url}/v1/capabilities"))["engines"][0]
        health = json.loads(call(f"{url}/v1/pools/default/health"))
        body = task(prompt="Say hello:")
        call(f"{url}/v1/tasks", body)
        stream = call(f"{url}/v1/tasks/{body['task_id']}/stream").decode()
        children = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
        process.send_signal(signal.SIGTERM)
        assert 0 == process.wait(timeout=15)

    assert capability["engine_version"].startswith("b11434")
    assert capability["features"]["experimental_cpu"]
    assert health["experimental_cpu"]
    assert "event: end" in stream
    assert children
    assert not [child for child in children if Path(f"/proc/{child}/exe").exists()]


@pytest.mark.real_engine
@pytest.mark.req("ORCH-3010", "ORCH-3038", "OC-POOL-3001", "OC-POOL-3003")
def test_real_an_engine_that_is_killed_is_reported_and_replaced(tmp_path: Path) -> None:
    file = tmp_path / "c.yaml"
    file.write_text("{experimental_cpu: true, pools: [{replicas: [{kind: supervised, threads: 1}]}]}")
    with server("--config", str(file)) as (process, url):
        (engine,) = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
        body = task(prompt="Tell a long story:", max_tokens=900, deadline_ms=600_000)
        call(f"{url}/v1/tasks", body)
        os.kill(int(engine), signal.SIGKILL)
        lost = call(f"{url}/v1/tasks/{body['task_id']}/stream").decode()
        assert process.stderr is not None
        events: list[str | None] = []
        while events.count("replica ready") < 2:  # the first is the one before the kill
            events.append(json.loads(process.stderr.readline()).get("event"))
        after = task(prompt="Say hello:")
        call(f"{url}/v1/tasks", after)
        stream = call(f"{url}/v1/tasks/{after['task_id']}/stream").decode()

    assert '"WORKER_RESET"' in lost
    assert [e for e in events if e and e.startswith("replica")][-3:] == [
        "replica unready",
        "replica loading",
        "replica ready",
    ]
    assert "event: end" in stream
