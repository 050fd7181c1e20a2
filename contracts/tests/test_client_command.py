"""The client's command line against the live reference server: place in the queue, figures of the stream, artifacts."""

import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from subprocess import PIPE

import pytest
from msgspec.structs import replace

from contracts.client import OrchQueueClient
from contracts.tests.test_client_live import task as task_of
from harness.target import REFERENCE_SERVER, Servers, Target

SLOW = {"pools": [{"replicas": [{"kind": "mock", "slots": 1, "token_ms": 300}]}]}
PLACE = re.compile(
    r"^(?:admitted: task_id \S+  |queued: )queue_position (\d+)  predicted_start_ms (\d+)$", re.MULTILINE
)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Target]:
    servers = Servers(REFERENCE_SERVER, folder=tmp_path_factory.mktemp("servers"))
    yield servers.start(SLOW)
    servers.stop()


def command(server: Target, *arguments: str) -> list[str]:
    return [sys.executable, "-m", "contracts.client", *arguments, "--url", server.url, "--token", server.token or ""]


def llama_orch(server: Target, *arguments: str, given: str = "") -> subprocess.CompletedProcess[str]:
    line = command(server, *arguments)
    return subprocess.run(line, input=given, capture_output=True, text=True, check=False, timeout=60)


def start_at(position: str, lines: Iterator[str]) -> int:
    """When it is expected to start, from the first line that shows it at this place; others show a later forecast."""
    return next(int(found[2]) for line in lines if (found := PLACE.match(line)) and found[1] == position)


@pytest.mark.req("HME-020")
def test_a_task_that_waits_shows_its_place_and_when_it_is_expected_to_start(server: Target) -> None:
    with OrchQueueClient(server.url, token=server.token) as client:
        measured = client.create_task(replace(task_of(), max_tokens=1)).body.task_id
        list(client.stream_task(measured))  # until then nothing is predicted
        running, first, second = (
            client.create_task(replace(task_of(), max_tokens=400, deadline_ms=3_600_000)).body.task_id for _ in range(3)
        )
        with subprocess.Popen(
            command(server, "task", "hi", "--max-tokens", "1", "--deadline-ms", "3600000"),
            stderr=PIPE,
            stdout=PIPE,
            text=True,
        ) as own:
            assert own.stderr is not None
            starts = []
            for gone, position in ((first, "2"), (second, "1"), (running, "0")):
                starts.append(start_at(position, own.stderr))
                client.cancel_task(gone)
            rest, code = own.stderr.read(), own.wait()

    assert starts[0] > starts[1] > 0
    assert (0, True) == (code, "started: queue_position 2  " in rest), rest


@pytest.mark.req("HME-021")
def test_the_figures_of_the_stream_are_shown_beside_the_answer(server: Target) -> None:
    done = llama_orch(server, "task", "-", "--max-tokens", "4", given="A queue, please.")
    figures = [line for line in done.stderr.splitlines() if line.startswith("metrics: ")]

    assert 0 == done.returncode, done.stderr
    assert "tokens_out 4  " in figures[-1] + "  "
    assert all(name in figures[-1] for name in ("queue_depth ", "on_time_probability ", "kv_warmth ", "tokens_in "))
    assert re.search(r"^end: tokens_out 4  decode_ms \d+", done.stderr, re.MULTILINE)
    assert done.stdout.strip()
    assert "metrics" not in done.stdout


@pytest.mark.req("HME-020", "HME-023")
def test_a_refusal_is_said_with_its_code_and_a_server_that_is_not_there_as_such(server: Target) -> None:
    refused = llama_orch(server, "task", "hi", "--model-ref", "none")
    gone = llama_orch(Target("http://127.0.0.1:9", None), "task", "hi")

    assert (1, True) == (refused.returncode, refused.stderr.startswith("INVALID_PARAMS: ")), refused.stderr
    assert (3, True) == (gone.returncode, "http://127.0.0.1:9 cannot be reached" in gone.stderr), gone.stderr


@pytest.mark.req("HME-022")
def test_an_artifact_is_stored_and_read(server: Target, tmp_path: Path) -> None:
    file = tmp_path / "plan.md"
    file.write_text("# Plan\n\n✓ queue first", encoding="utf-8")
    stored = llama_orch(server, "artifacts", "put", str(file), "--kind", "plan", "--tag", "release")
    artifact_id = stored.stdout.strip()
    again = llama_orch(
        server, "artifacts", "put", "-", "--kind", "plan", "--tag", "release", given=file.read_text("utf-8")
    )

    assert (0, artifact_id) == (stored.returncode, again.stdout.strip()), stored.stderr
    assert file.read_text("utf-8") == llama_orch(server, "artifacts", "get", artifact_id).stdout
    with OrchQueueClient(server.url, token=server.token) as client:
        found = client.get_artifact(artifact_id).body
    assert ("plan", ("release",), file.read_text("utf-8")) == (found.kind, found.tags, found.content)


@pytest.mark.req("HME-022", "HME-023")
def test_an_artifact_that_is_not_there_and_a_file_that_is_not_are_told_apart(server: Target) -> None:
    unknown = llama_orch(server, "artifacts", "get", f"sha256:{'0' * 64}")
    missing = llama_orch(server, "artifacts", "put", "no-such-file")

    assert (1, True) == (unknown.returncode, unknown.stderr.startswith("NOT_FOUND: ")), unknown.stderr
    assert (2, True) == (missing.returncode, "no-such-file" in missing.stderr), missing.stderr
