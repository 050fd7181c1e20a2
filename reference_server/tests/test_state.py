"""What a server keeps on disk, where, and what of it outlives a kill: the server as a process."""

import json
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest

from reference_server.store.database import FILE
from reference_server.tests.test_provisioned_pools import served
from reference_server.tests.test_serve import call, task, without_token


@contextmanager
def killed_at_the_end(home: Path, *arguments: str) -> Iterator[str]:
    """The address of a server at whose end nothing is tidied up."""
    environment = {**without_token(), "HOME": str(home), "XDG_STATE_HOME": str(home / "state")}
    line = [sys.executable, "-m", "reference_server", "serve", "--port", "0", *arguments]
    process = subprocess.Popen(line, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, env=environment)
    try:
        assert process.stdout is not None
        yield json.loads(process.stdout.readline())["url"]
    finally:
        process.kill()
        process.communicate(timeout=10)


def files_of(folder: Path) -> list[str]:
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())


@pytest.mark.req("OC-CORE-1050", "OC-CORE-1051", "OC-CORE-1009")
@pytest.mark.parametrize("is_named", [False, True], ids=["by-default", "state-dir"])
def test_a_transcript_is_the_same_after_a_kill_and_its_file_is_a_write_ahead_log(
    tmp_path: Path, is_named: bool
) -> None:
    folder = tmp_path / "named" if is_named else tmp_path / "state" / "llama-orch"
    arguments = ("--state-dir", str(folder)) if is_named else ()
    body = task()
    with killed_at_the_end(tmp_path, *arguments) as url:
        call(f"{url}/v1/tasks", body)
        before = call(f"{url}/v1/tasks/{body['task_id']}/stream")
    with closing(sqlite3.connect(folder / FILE)) as file:
        assert ("wal",) == file.execute("PRAGMA journal_mode").fetchone()
    with killed_at_the_end(tmp_path, *arguments) as url:
        after = call(f"{url}/v1/tasks/{body['task_id']}/stream")

    assert b"event: end" in before
    assert before == after
    assert f"{folder.relative_to(tmp_path)}/{FILE}" in files_of(tmp_path)
    assert 0o700 == folder.stat().st_mode & 0o777  # prompts are in it


@pytest.mark.req("OC-CORE-1050")
def test_an_ephemeral_server_writes_no_state(tmp_path: Path) -> None:
    with killed_at_the_end(tmp_path, "--ephemeral") as url:
        assert "event: end" in served(url)

    assert [] == files_of(tmp_path)
