"""What a killed server's engines left behind is ended at the next start, and nothing else is."""

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from reference_server.runtime.orphans import MARK, end_orphans, mark


@contextmanager
def process(environment: dict[str, str]) -> Iterator["subprocess.Popen[bytes]"]:
    """A process that waits, once it runs."""
    started = subprocess.Popen(
        [sys.executable, "-c", "print('up', flush=True); import time; time.sleep(60)"],
        stdout=subprocess.PIPE,
        env={**os.environ, **environment},
    )
    assert started.stdout is not None
    started.stdout.readline()
    try:
        yield started
    finally:
        started.kill()
        started.communicate(timeout=10)


@pytest.fixture
def own_mark(monkeypatch: pytest.MonkeyPatch) -> str:
    """A mark that no other server on this machine looks for: each of them ends orphans when it starts."""
    name = f"{MARK}_{os.getpid()}"
    monkeypatch.setattr("reference_server.runtime.orphans.MARK", name)
    return name


@pytest.mark.req("OC-POOL-3042")
def test_an_engine_whose_server_is_gone_is_ended(own_mark: str) -> None:
    """T12: GPUStack #2595, LocalAI #2866. It is gone by then, so that the driver no longer counts its VRAM."""
    with process({own_mark: "4194304:1"}) as orphan:
        assert orphan.pid in end_orphans()
        assert -9 == orphan.poll()


@pytest.mark.req("OC-POOL-3042")
def test_an_id_that_another_process_has_now_is_no_server(own_mark: str) -> None:
    with process({own_mark: f"{os.getpid()}:1"}) as orphan:
        assert orphan.pid in end_orphans()
        assert -9 == orphan.poll()


@pytest.mark.req("OC-POOL-3042")
@pytest.mark.parametrize(
    "environment",
    [
        pytest.param({}, id="not-marked"),
        pytest.param(mark(), id="its-server-lives"),
        pytest.param({MARK: "1"}, id="not-our-mark"),
        pytest.param({MARK: "x:y"}, id="nonsense"),
    ],
)
def test_whatever_is_not_an_orphan_lives_on(environment: dict[str, str]) -> None:
    with process(environment) as other:
        assert other.pid not in end_orphans()
        assert other.poll() is None


@pytest.mark.req("OC-POOL-3042")
def test_a_process_that_ends_while_it_is_looked_at_is_no_error(tmp_path: Path) -> None:
    folder = tmp_path / "4194303"
    folder.mkdir()
    (folder / "environ").write_bytes(f"{MARK}=4194304:1\0".encode())

    assert [] == end_orphans(tmp_path)
