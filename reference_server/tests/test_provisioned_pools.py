"""Pools whose engines bring themselves: from the configuration to a served task, with no step by hand in between.

Real: the server, git, CMake, the compiler, HTTP, archives. Stand-ins: the engines, and the container runtime, which
notes what it is told and starts a stand-in where it would start a container.
"""

import fcntl
import hashlib
import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from reference_server.domain.pins import require_pinned
from reference_server.policy.tests.far_end import FarEnd, far_end
from reference_server.provision import room
from reference_server.provision.tests.programs import CMAKE_THAT_NEVER_ENDS, Programs
from reference_server.provision.tests.test_binaries import tar
from reference_server.provision.tests.test_snapshots import FILES, Hub, files_of
from reference_server.runtime.orphans import MARK, mark
from reference_server.tests.test_pool_failures import health, refusal
from reference_server.tests.test_serve import call, server, task

pytestmark = pytest.mark.timeout(180)
STAND_IN = f"""#!/bin/sh
exec {sys.executable} -m harness.engines llamacpp "$@"
"""
SOURCE = """#include <unistd.h>
#include <stdlib.h>
#include <string.h>
int main(int count, char **given) {
    char **line = calloc(count + 4, sizeof(char *));
    char *before[] = {"%s", "-m", "harness.engines", "llamacpp"};
    memcpy(line, before, sizeof before);
    memcpy(line + 4, given + 1, (count - 1) * sizeof(char *));
    return execv(line[0], line);
}
"""
RUN = """
        port = next(a for a in sys.argv if a.startswith("127.0.0.1:")).split(":")[1]
        os.execv(sys.executable, [sys.executable, "-m", "harness.engines", "tgi", "--port", port])
"""
DIGEST = "sha256:" + "a" * 64


@pytest.fixture
def far() -> Iterator[FarEnd]:
    """A web server."""
    with far_end() as made:
        yield made


def written(folder: Path, pool: dict[str, Any], **other: object) -> str:
    """A configuration with one pool, whose replica has a model."""
    (folder / "m.gguf").write_bytes(b"GGUF")
    replica = {"kind": "supervised", "model_file": str(folder / "m.gguf"), "memory_bytes": 1, **pool.pop("replica", {})}
    outbound = {"schemes": ["http", "https"], "private": ["127.0.0.1"]}
    settings = {"experimental_cpu": True, "pools": [{**pool, "replicas": [replica]}], "outbound": outbound, **other}
    (folder / "c.yaml").write_text(json.dumps(settings))
    return str(folder / "c.yaml")


def served(url: str, **changes: object) -> str:
    body = task(**changes)
    call(f"{url}/v1/tasks", body)
    return call(f"{url}/v1/tasks/{body['task_id']}/stream").decode()


@pytest.mark.req("ORCH-3200", "ORCH-3201", "ORCH-3208", "OC-CONFIG-6020", "OC-CONFIG-6025")
def test_stand_in_engine_of_a_binary_comes_up_by_itself_and_its_plan_is_kept(far: FarEnd, tmp_path: Path) -> None:
    archive = tar("bin/llama-server", STAND_IN.encode())
    far.answers["/engine.tar.gz"] = (200, {}, archive)
    digest = "sha256:" + hashlib.sha256(archive).hexdigest()
    mode = {"mode": "binary", "url": f"http://127.0.0.1:{far.port}/engine.tar.gz", "sha256": digest}
    config = written(tmp_path, {"provisioning": {**mode, "executable": "bin/llama-server"}})

    with server("--config", config) as (process, url):
        stream = served(url)
        process.send_signal(signal.SIGTERM)
        lines = [json.loads(line) for line in process.communicate(timeout=30)[1].splitlines()]
    assert "event: end" in stream
    (plan,) = {line["event"].rpartition(" ")[2] for line in lines if line["event"].startswith("engine here")}
    with server("--config", config, "--state-dir", str(tmp_path / "state")) as (_, url):
        artifact = json.loads(call(f"{url}/v1/artifacts/{plan}"))
    assert ("plan", ["default", "llamacpp"]) == (artifact["kind"], artifact["tags"])
    assert digest == json.loads(artifact["content"])["inputs"][0]["digest"]
    assert 1 == len(far.asked)  # the second server found it in the cache


@pytest.mark.req("ORCH-3200", "OC-CONFIG-6022", "OC-CONFIG-6029")
def test_stand_in_engine_that_is_built_from_a_commit_comes_up_by_itself(tmp_path: Path, repository: Any) -> None:
    commit = repository(SOURCE % sys.executable)
    mode = {"mode": "source", "git": str(tmp_path / "repository"), "commit": commit, "ref": "v1"}

    with server("--config", written(tmp_path, {"provisioning": mode})) as (_, url):
        assert "event: end" in served(url)


@pytest.mark.req("ORCH-3200", "OC-CONFIG-6023", "OC-POOL-3043")
def test_stand_in_container_is_pulled_run_on_loopback_and_removed(
    far: FarEnd, tmp_path: Path, programs: Programs
) -> None:
    image = f"127.0.0.1:{far.port}/org/tgi@{DIGEST}"
    gone, kept = "llama-orch-999999999-1-aaaa", f"llama-orch-{mark()[MARK].replace(':', '-')}-bbbb"
    programs.add_runtime("docker", run=RUN, left=f"{gone}\n{kept}\nother")
    pool = {"engine": "tgi", "provisioning": {"mode": "container", "image": image, "runtime": "docker"}}

    with server("--config", written(tmp_path, pool)) as (process, url):
        assert health(url)["ready"], health(url)
        assert "event: end" in served(url, engine="tgi")
        process.send_signal(signal.SIGTERM)
        process.communicate(timeout=30)
    calls = programs.calls("docker")
    (run,) = [line for line in calls if line[0] == "run"]
    name = run[run.index("--name") + 1]
    published = run[run.index("--publish") + 1]
    assert published.startswith("127.0.0.1:")
    assert published.endswith(":8080")
    assert f"type=bind,source={tmp_path}/m.gguf,target=/models/m.gguf,readonly" in run
    own = ["--model-id", "/models/m.gguf", "--hostname", "0.0.0.0", "--port", "8080"]  # noqa: S104 - inside the container
    assert [image, *own] == run[run.index(image) :][:7]
    assert [gone, name] == [line[2] for line in calls if line[0] == "rm"]


@pytest.mark.req("ORCH-3043", "ORCH-3042", "ORCH-3200")
def test_stand_in_container_gets_the_folder_that_all_of_a_repository_was_fetched_into(
    far: FarEnd, tmp_path: Path, programs: Programs
) -> None:
    Hub(far, cdn="127.0.0.1")
    programs.add_runtime("docker", run=RUN)
    image = f"127.0.0.1:{far.port}/org/tgi@{DIGEST}"
    pool = {"engine": "tgi", "provisioning": {"mode": "container", "image": image, "runtime": "docker"}}
    config = written(tmp_path, {**pool, "model": {"source": "hf:org/repo"}, "replica": {"model_file": None}})
    hub = {"HF_ENDPOINT": f"http://127.0.0.1:{far.port}", "HF_HUB_OFFLINE": "0"}

    with server("--config", config, **hub) as (_, url):
        assert "event: end" in served(url, engine="tgi")
        (kept,) = room.kept()
        with (kept.folder / room.USED).open("a") as used, pytest.raises(BlockingIOError):  # so nobody evicts it
            fcntl.flock(used, fcntl.LOCK_EX | fcntl.LOCK_NB)
    (run,) = [line for line in programs.calls("docker") if line[0] == "run"]
    assert f"type=bind,source={kept.folder}/repo,target=/models/repo,readonly" in run
    assert FILES == files_of(kept.folder / "repo")


@pytest.mark.req("ORCH-3200", "ORCH-3035")
def test_a_server_that_is_stopped_while_it_brings_an_engine_ends_and_takes_the_build_with_it(
    tmp_path: Path, programs: Programs, repository: Any
) -> None:
    begun = tmp_path / "begun"
    os.mkfifo(begun)
    programs.add("cmake", CMAKE_THAT_NEVER_ENDS.format(begun=str(begun)))
    mode = {"mode": "source", "git": str(tmp_path / "repository"), "commit": repository()}
    command = ["serve", "--ephemeral", "--port", "0", "--config", written(tmp_path, {"provisioning": mode})]

    line = [sys.executable, "-m", "reference_server", *command]
    with subprocess.Popen(line, stderr=subprocess.PIPE) as process, begun.open() as pipe:
        assert pipe.readline()
        process.send_signal(signal.SIGTERM)
        process.communicate(timeout=60)
        assert "" == pipe.read()  # the build has ended
    assert 0 == process.returncode


@pytest.mark.req("ORCH-3200", "ORCH-3202", "OC-CONFIG-6028")
@pytest.mark.parametrize(
    ("provisioning", "other", "says"),
    [
        pytest.param({"mode": "source"}, {"engines": {"provision": False}}, "engines --config FILE install", id="off"),
        pytest.param({"mode": "source", "version": "b1"}, {}, "pin b11434", id="version-not-to-be-had"),
        pytest.param({"mode": "source"}, {"outbound": {"enabled": False}}, "switched off", id="offline"),
        pytest.param(
            {"mode": "container", "image": f"ghcr.io/a/b@{DIGEST}", "runtime": "podman"}, {}, "install", id="no-runtime"
        ),
    ],
)
def test_an_engine_that_cannot_be_brought_fails_at_once_with_what_to_do(
    tmp_path: Path, programs: Programs, provisioning: dict[str, Any], other: dict[str, Any], says: str
) -> None:
    with server("--config", written(tmp_path, {"provisioning": provisioning}, **other)) as (_, url):
        shown = health(url)
        status, envelope = refusal(url)

    assert not shown["ready"]
    assert says in shown["last_error"]
    assert 503 == status
    assert envelope["code"] in {"POOL_UNAVAILABLE", "POOL_UNREADY"}


@pytest.mark.req("OC-CONFIG-6021")
def test_an_engine_of_another_version_than_the_pinned_does_not_become_ready(tmp_path: Path) -> None:
    mock = {"replicas": [{"kind": "mock"}]}
    (tmp_path / "c.yaml").write_text(
        json.dumps({"pools": [{**mock, "provisioning": {"mode": "external", "version": "b11434"}}]})
    )

    with server("--config", str(tmp_path / "c.yaml")) as (_, url):
        shown = health(url)
    assert not shown["ready"]
    assert "the pool pins b11434" in shown["last_error"]


@pytest.mark.req("OC-CONFIG-6021")
@pytest.mark.parametrize(
    ("pinned", "reported", "is_right"),
    [
        (None, "anything", True),
        ("b11434", "b11434", True),
        ("b11434", "b11434-src.b0a2feb6", True),
        ("0.32.0", "0.32.0+cpu", True),
        ("2.51", "2.51.0", True),
        ("0.32", "0.32.1", False),
        ("0.3", "0.32.0", False),
        ("b1143", "b11434", False),
        ("b11434", "b11433", False),
    ],
)
def test_a_pin_allows_what_was_built_from_that_version(pinned: str | None, reported: str, is_right: bool) -> None:
    assert is_right == (require_pinned(pinned, reported) is None)
