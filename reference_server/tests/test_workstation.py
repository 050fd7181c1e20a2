"""The server on the host that it is for: headless, with GPUs of different sizes, and on one that has none.

Stand-ins: the engines, and the driver's figures (a recorded workstation with a 24 GB and a 12 GB card).
"""

import json
import os
import random
import signal
import socket
import subprocess
from pathlib import Path

import pytest

from reference_server.domain.core import Core
from reference_server.domain.devices import DeviceMask
from reference_server.domain.effects import StartDecode, TaskStarted
from reference_server.domain.frames import Finish
from reference_server.domain.task import Priority, Task
from reference_server.domain.tests.builders import core, pool, request
from reference_server.domain.tests.test_devices import GPUS
from reference_server.engines.base import Usage
from reference_server.telemetry.log import LINES, TaskLog
from reference_server.telemetry.metrics import Metrics
from reference_server.tests.test_pool_failures import health, refusal
from reference_server.tests.test_provisioned_pools import STAND_IN, served, written
from reference_server.tests.test_serve import call, command, refused, server, without_token

DONE = Finish(finish_reason="length", tokens_in=3, tokens_out=2, kv_warm=False)
DESKTOP = {"DISPLAY", "WAYLAND_DISPLAY", "XAUTHORITY", "XDG_SESSION_TYPE", "DBUS_SESSION_BUS_ADDRESS", "TERM"}


@pytest.mark.req("ORCH-1101")
def test_it_serves_without_a_desktop_a_terminal_and_an_input() -> None:
    environment = {name: value for name, value in without_token().items() if name not in DESKTOP}
    process = subprocess.Popen(
        command("--port", "0"),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=environment,
        start_new_session=True,  # no controlling terminal
    )
    try:
        assert process.stdout is not None
        stream = served(json.loads(process.stdout.readline())["url"])
        process.send_signal(signal.SIGTERM)
        assert 0 == process.wait(timeout=15)
    finally:
        process.kill()
        process.communicate(timeout=10)

    assert "event: end" in stream


def with_engine(folder: Path, **settings: object) -> str:
    """A configuration whose engine notes that it was started, and then is a stand-in."""
    engine = folder / "llama-server"
    engine.write_text(STAND_IN.replace("exec", f'echo "$@" > {folder}/started\nexec', 1))
    engine.chmod(0o755)
    switch = settings.pop("experimental_cpu", None)
    file = Path(written(folder, {"replica": {"binary": str(engine), **settings}}))
    config = json.loads(file.read_text())
    if switch is None:
        del config["experimental_cpu"]
    file.write_text(json.dumps(config))
    return str(file)


@pytest.mark.req("ORCH-1101", "ORCH-3018", "OC-POOL-3012")
def test_a_gpu_that_no_driver_shows_is_never_replaced_by_the_cpu(tmp_path: Path) -> None:
    """No host has a GPU of this number."""
    with server("--config", with_engine(tmp_path, devices=[63])) as (_, url):
        shown = health(url)
        status, envelope = refusal(url)

    assert (False, "GPU 63 is not there") == (shown["ready"], shown["last_error"][:19])
    assert (503, "POOL_UNAVAILABLE") == (status, envelope["code"])
    assert not (tmp_path / "started").exists()


@pytest.mark.req("ORCH-1102")
def test_without_the_switch_an_engine_that_would_decode_on_the_cpu_is_not_started(tmp_path: Path) -> None:
    done = refused("--config", with_engine(tmp_path))

    assert (2, True) == (done.returncode, "experimental_cpu: true" in done.stderr), done.stderr
    assert not (tmp_path / "started").exists()


@pytest.mark.req("ORCH-1102")
@pytest.mark.parametrize("is_on_cpu", [True, False], ids=["engine-on-the-cpu", "embedded-stand-in"])
def test_stand_in_the_switch_shows_wherever_the_pool_is_described_and_a_mock_needs_none(
    tmp_path: Path, is_on_cpu: bool
) -> None:
    arguments = ("--config", with_engine(tmp_path, experimental_cpu=True)) if is_on_cpu else ()
    with server(*arguments) as (_, url):
        stream = served(url)
        (capability,) = json.loads(call(f"{url}/v1/capabilities"))["engines"]
        (status,) = json.loads(call(f"{url}/v1/status"))["pools"]
        described = [health(url), capability["features"], status]

    assert "event: end" in stream
    assert [is_on_cpu] * 3 == [told.get("experimental_cpu", False) for told in described]


@pytest.mark.req("ORCH-3002", "OC-POOL-3001")
def test_stand_in_a_pool_loads_its_model_at_the_start_and_is_ready_only_then(tmp_path: Path) -> None:
    """The engine comes up when the test lets it, and no task is needed for that."""
    has_begun, may_go_on = tmp_path / "has-begun", tmp_path / "may-go-on"
    os.mkfifo(has_begun)
    os.mkfifo(may_go_on)
    config = with_engine(tmp_path, experimental_cpu=True)
    engine = tmp_path / "llama-server"
    engine.write_text(engine.read_text().replace("exec", f"echo > {has_begun}\nread line < {may_go_on}\nexec", 1))
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    process = subprocess.Popen(
        command("--config", config, "--port", str(port)), stdout=subprocess.PIPE, text=True, env=without_token()
    )
    try:
        has_begun.read_text()
        url = f"http://127.0.0.1:{port}"
        loading = health(url)
        status, envelope = refusal(url)
        may_go_on.write_text("\n")
        assert process.stdout is not None
        announced = json.loads(process.stdout.readline())
        ready = health(url)
        stream = served(url)
    finally:
        process.kill()
        process.communicate(timeout=10)

    assert (True, False) == (loading["live"], loading["ready"])
    assert (503, "POOL_UNREADY", True) == (status, envelope["code"], envelope["retriable"])
    assert envelope["retry_after_ms"] > 0
    assert ({"default": True}, True) == (announced["pools_ready"], ready["ready"])
    assert str(tmp_path / "m.gguf") in (tmp_path / "started").read_text().split()
    assert "event: end" in stream


@pytest.mark.req("ORCH-3039", "OC-POOL-3015", "OC-POOL-3010")
@pytest.mark.parametrize(
    ("words", "slots"),
    [
        pytest.param("CUDA error: out of memory", "2", id="vram"),
        pytest.param("terminate called after throwing an instance of 'std::bad_alloc'", "4", id="host-memory"),
    ],
)
def test_stand_in_that_ran_out_of_vram_comes_back_with_half_the_slots_and_no_other(
    tmp_path: Path, words: str, slots: str
) -> None:
    """Half the slots are half the KV cache; of the host's memory that would not help."""
    config = with_engine(tmp_path, experimental_cpu=True, slots=4)
    engine, died = tmp_path / "llama-server", tmp_path / "died"
    dies = f'if [ ! -e {died} ]; then echo "$@" > {died}; echo "{words}" >&2; exit 1; fi\n'
    engine.write_text(engine.read_text().replace("echo", f"{dies}echo", 1))
    with server("--config", config) as (process, url):
        assert words in health(url)["last_error"]
        assert process.stderr is not None
        while json.loads(process.stderr.readline())["event"] != "replica ready":
            assert process.poll() is None
        assert health(url)["ready"]

    first, second = (line.read_text().split() for line in (died, tmp_path / "started"))
    assert ["4", slots] == [line[line.index("--parallel") + 1] for line in (first, second)]


class Workstation:
    """Two replicas, one on each card, 40 agents that come and go, and what was written of it."""

    def __init__(self, lines: list[dict[str, object]]) -> None:
        self.pool = pool(replicas=2, interactive=64, batch=64)
        for replica, device in zip(self.pool.replicas.values(), (1, 0), strict=True):
            replica.mask = DeviceMask((device,))
        self.pool.see_gpus(GPUS)
        self.core: Core = core(self.pool, slots=4)
        self.metrics = Metrics(self.core, usage=lambda _pool, _replica: Usage(), engine_connections=lambda: 0)
        self.log = TaskLog(self.core)
        self.lines = lines
        self.decisions: list[tuple[str, str | None]] = []
        self.running: list[Task] = []
        self.overtaken: list[str] = []

    def settle(self, now: int) -> None:
        """Take note of what was decided, as the runtime does."""
        for effect in self.core.take_effects():
            if isinstance(effect, StartDecode):
                self.decisions.append((effect.task.id, effect.task.replica_id))
                self.running.append(effect.task)
                if effect.task.request.priority == "batch" and self.pool.queue.depth("interactive"):
                    self.overtaken.append(effect.task.id)
            else:
                self.metrics.observe(effect, now)  # type: ignore[arg-type]  # a StopDecode is none: nothing is broken off
                self.log.observe(effect, now)  # type: ignore[arg-type]
                if isinstance(effect, TaskStarted):
                    assert effect.task.replica_id == self.lines[-1]["replica_id"]

    def work(self, seed: int) -> None:
        """400 events, drawn anew from the same seed."""
        rng = random.Random(seed)  # noqa: S311 - a workload
        for now in range(400):
            if self.running and rng.random() < 0.45:
                task = self.running.pop(rng.randrange(len(self.running)))
                self.core.finish(task.id, DONE, now)
                self.core.release(task, now)
            elif len(self.pool.queue) < 60:
                priority: Priority = rng.choice(("interactive", "batch"))
                asked = request(f"t{now}", priority, session_id=f"agent-{rng.randrange(40)}")
                self.core.submit(asked, tokens_in=1, now_ms=now)
            self.settle(now)


@pytest.mark.req("ORCH-3000", "ORCH-1103")
@pytest.mark.parametrize("seed", range(5))
def test_many_agents_on_two_gpus_get_the_same_decisions_each_of_them_written(
    monkeypatch: pytest.MonkeyPatch, seed: int
) -> None:
    lines: list[dict[str, object]] = []
    monkeypatch.setattr(LINES, "msg", lambda line: lines.append(json.loads(line)))
    first, second = Workstation(lines), Workstation(lines)
    first.work(seed)
    written_first = [(line["job_id"], line["replica_id"]) for line in lines if line["event"] == "task started"]
    second.work(seed)

    assert first.decisions == second.decisions == written_first
    assert len(first.decisions) > 100
    assert "r1" == first.decisions[0][1]  # the 24 GB card's
    counted = {replica: 0.0 for _, replica in first.decisions}
    for family in first.metrics.registry.collect():
        for sample in family.samples:
            if sample.name == "tasks_started_total":
                counted[sample.labels["replica_id"]] += sample.value
    assert {replica: [r for _, r in first.decisions].count(replica) for replica in counted} == counted
    assert 2 == len(counted)
    assert [] == first.overtaken
