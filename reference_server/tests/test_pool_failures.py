"""Stand-in engines that do not come up, or die: small programs that the server starts in place of a llama-server."""

import json
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.error import HTTPError

import pytest

from reference_server.tests.test_serve import call, command, server, task, without_token


@contextmanager
def pool_of(folder: Path, program: str, **settings: object) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """A server whose one engine is this shell program."""
    engine, model = folder / "llama-server", folder / "m.gguf"
    engine.write_text(f"#!/bin/sh\n{program}\n")
    engine.chmod(0o755)
    model.write_bytes(b"GGUF")
    replica = {"kind": "supervised", "binary": str(engine), "model_file": str(model), **settings}
    file = folder / "c.yaml"
    file.write_text(json.dumps({"experimental_cpu": True, "pools": [{"replicas": [replica]}]}))
    with server("--config", str(file)) as running:
        yield running


def health(url: str) -> dict[str, Any]:
    read: dict[str, Any] = json.loads(call(f"{url}/v1/pools/default/health"))
    return read


def refusal(url: str) -> tuple[int, dict[str, Any]]:
    with pytest.raises(HTTPError) as refused:
        call(f"{url}/v1/tasks", task())
    return refused.value.code, json.loads(refused.value.read())


@pytest.mark.req("OC-POOL-3002", "OC-POOL-3003", "OC-POOL-3013", "ORCH-3003")
@pytest.mark.parametrize(
    ("program", "limit", "says"),
    [
        ("echo 'unable to open model'; exit 1", {}, "unable to open model"),
        ("exec sleep 60", {"start_timeout_ms": 400}, "not ready in time"),
        ("kill -9 $$", {}, "SIGKILL"),
    ],
    ids=["ends", "never ready", "killed"],
)
def test_stand_in_a_preload_that_fails_is_said_and_takes_no_work(
    tmp_path: Path, program: str, limit: dict[str, int], says: str
) -> None:
    with pool_of(tmp_path, program, **limit) as (_, url):
        shown = health(url)
        status, envelope = refusal(url)

    assert not shown["ready"]
    assert says in shown["last_error"]
    assert 503 == status
    assert envelope["code"] in {"POOL_UNAVAILABLE", "POOL_UNREADY"}  # loading again, after its pause
    assert envelope["retriable"]
    assert envelope["retry_after_ms"] > 0


@pytest.mark.req("OC-POOL-3010", "OC-POOL-3030", "ORCH-3038", "ORCH-3039", "ORCH-3053")
@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ("CUDA error: an illegal memory access was encountered", "cuda-error"),
        ("NVRM: Xid (PCI:0000:01:00): 79, GPU has fallen off the bus", "driver-reset"),
    ],
)
def test_stand_in_a_driver_fault_is_counted_apart_and_leads_to_a_restart(
    tmp_path: Path, line: str, reason: str
) -> None:
    starts = tmp_path / "starts"
    with pool_of(tmp_path, f"echo x >> {starts}\necho '{line}' >&2\nexit 1") as (process, url):
        assert line in health(url)["last_error"]
        assert process.stderr is not None
        while starts.read_text().count("x") < 2:  # the pause is over when it loads again
            assert process.stderr.readline(), "the server ended"
        counted = call(f"{url}/metrics").decode()

    (series,) = [
        text
        for text in counted.splitlines()
        if text.startswith("driver_faults_total{") and f'reason="{reason}"' in text
    ]
    assert float(series.rpartition(" ")[2]) >= 1


@pytest.mark.req("ORCH-3049")
def test_a_pool_whose_log_cannot_be_written_is_not_ready_and_the_server_goes_on() -> None:
    """`/dev/full` is a real device without room."""
    with Path("/dev/full").open("wb") as full:
        process = subprocess.Popen(
            command("--port", "0"), stdout=subprocess.PIPE, stderr=full, text=True, env=without_token()
        )
    try:
        assert process.stdout is not None
        ready = json.loads(process.stdout.readline())
        shown = health(ready["url"])
        alive = json.loads(call(f"{ready['url']}/healthz"))
    finally:
        process.kill()
        process.communicate(timeout=10)

    assert {"default": False} == ready["pools_ready"]
    assert (False, "ok") == (shown["ready"], alive["status"])
    assert "the log cannot be written" in shown["last_error"]
