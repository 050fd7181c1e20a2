"""Nothing accepted is lost: the server is killed at 200 random moments, and what it said before holds after.

One seed decides all moments. Each life of the server is given work without pause, killed with SIGKILL and started again
on the same state folder; the last life finishes everything, and the whole history is judged. What ran, and in which
order, is told by the engine: a stand-in that writes down what it was asked.
"""

import contextlib
import json
import os
import random
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
import uuid
from collections import Counter
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

SEED = 20_261_124
MOMENTS = int(os.environ.get("LLORCH_CRASH_MOMENTS", "200"))
CONFIG = """
pools: [{{replicas: [{{kind: external, url: "{url}"}}], queue: {{capacity_batch: 100000}}}}]
http: {{drain_ms: 0}}
retention: {{tasks_max: 1000000}}
"""
TASKS_PER_LIFE_MAX = 60  # more would only make the last life longer
TOKENS = 6
TOKEN_S = 0.001


class Engine:
    """A llama-server stand-in with one slot.

    Attributes:
        asked: the prompts of all completions that it was asked for, in order.
    """

    def __init__(self) -> None:
        self.asked: list[str] = []
        engine = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                props = {"build_info": "stand-in", "total_slots": 1, "default_generation_settings": {"n_ctx": 4096}}
                body: object = {"/props": props, "/slots": [{"id": 0, "is_processing": False}]}.get(self.path, {})
                self.answer("application/json", json.dumps(body).encode())

            def do_POST(self) -> None:
                asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                if self.path != "/completion":  # what it was not started for
                    self.send_error(501)
                    return
                engine.asked.append(asked["prompt"])
                self.answer("text/event-stream", b"")
                with contextlib.suppress(OSError):
                    for number in range(1, TOKENS + 1):
                        time.sleep(TOKEN_S)
                        self.frame({"content": "x", "tokens_predicted": number, "stop": False})
                    self.frame({"content": "", "tokens_predicted": TOKENS, "stop": True, "stop_type": "limit"})

            def frame(self, data: object) -> None:
                self.wfile.write(b"data: %b\n\n" % json.dumps(data).encode())

            def answer(self, content_type: str, body: bytes) -> None:
                self.send_response(200)
                self.send_header("Content-Type", content_type)
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: object) -> None:
                """Say nothing."""

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}"


@pytest.fixture
def engine() -> Iterator[Engine]:
    """A running stand-in."""
    made = Engine()
    thread = threading.Thread(target=made.server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield made
    made.server.shutdown()
    thread.join()
    made.server.server_close()


class Life:
    """One run of the server on a state folder."""

    def __init__(self, folder: Path, engine: Engine) -> None:
        config = folder / "config.yaml"
        config.write_text(CONFIG.format(url=engine.url))
        environment = {name: value for name, value in os.environ.items() if name != "LLORCH_API_TOKEN"}
        command = [sys.executable, "-m", "reference_server", "serve", "--port", "0", "--config", str(config)]
        self.log = (folder / "log.jsonl").open("a+")
        self.process = subprocess.Popen(
            [*command, "--state-dir", str(folder / "state")],
            stdout=subprocess.PIPE,
            stderr=self.log,
            text=True,
            env=environment,
        )
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        assert line, "the server did not start; see log.jsonl"
        self.url = json.loads(line)["url"]

    def end(self) -> None:
        """Kill it, as a power cut would."""
        self.process.kill()
        self.process.communicate(timeout=10)
        self.log.close()

    def get(self, path: str) -> bytes:
        with urllib.request.urlopen(self.url + path, timeout=30) as answer:  # noqa: S310 - our own server
            return bytes(answer.read())

    def submit(self) -> str | None:
        """One small task; its id when it was accepted, None when no answer came."""
        task_id = str(uuid.uuid4())
        body = {
            "task_id": task_id,
            "session_id": str(uuid.uuid4()),
            "workload": "completion",
            "model_ref": "default",
            "engine": "llamacpp",
            "ctx": 1024,
            "priority": "batch",
            "max_tokens": TOKENS,
            "deadline_ms": 3_600_000,
            "prompt": task_id,
        }
        headers = {"Content-Type": "application/json"}
        request = urllib.request.Request(self.url + "/v1/tasks", json.dumps(body).encode(), headers)  # noqa: S310 - ours
        with contextlib.suppress(OSError, urllib.error.URLError), urllib.request.urlopen(request, timeout=10) as answer:  # noqa: S310
            return str(json.loads(answer.read())["task_id"])
        return None


@pytest.mark.slow
@pytest.mark.timeout(1200)
@pytest.mark.req("OC-CORE-1050", "OC-CORE-1051", "OC-CORE-1052", "OC-POOL-3040")
def test_nothing_accepted_is_lost_or_run_twice_over_random_kills(tmp_path: Path, engine: Engine) -> None:
    rng = random.Random(SEED)  # noqa: S311 - it decides when to kill
    accepted: list[str] = []
    replays: dict[str, bytes] = {}

    def work(life: Life) -> None:
        for _ in range(TASKS_PER_LIFE_MAX):
            if (task_id := life.submit()) is None:
                return
            accepted.append(task_id)

    for _ in range(MOMENTS):
        life = Life(tmp_path, engine)
        worker = threading.Thread(target=work, args=(life,))
        worker.start()
        time.sleep(rng.uniform(0, 0.12))  # the moment of the crash
        if accepted and rng.random() < 0.3:
            sample = rng.choice(accepted)
            if json.loads(life.get(f"/v1/tasks/{sample}"))["state"] == "ended":
                replays[sample] = life.get(f"/v1/tasks/{sample}/stream")
        life.end()
        worker.join()

    life = Life(tmp_path, engine)
    streams = {task_id: life.get(f"/v1/tasks/{task_id}/stream").decode() for task_id in accepted}
    again = {task_id: life.get(f"/v1/tasks/{task_id}/stream") for task_id in replays}
    life.end()

    place = {task_id: number for number, task_id in enumerate(accepted)}
    decoded = [prompt for prompt in engine.asked if prompt in place]
    reset = [task_id for task_id, text in streams.items() if '"WORKER_RESET"' in text]
    ends = {task_id: text.count("event: end") + text.count("event: error") for task_id, text in streams.items()}

    assert len(accepted) > MOMENTS
    assert {1} == set(ends.values())
    assert [] == [task_id for task_id, text in streams.items() if "event: error" in text and task_id not in reset]
    assert [] == [task_id for task_id, count in Counter(decoded).items() if count > 1]
    assert sorted(decoded, key=place.__getitem__) == decoded, "a task overtook another over a restart"
    assert replays == again, "an ended transcript changed over a restart"
    assert reset, "no kill met a running task: the moments are too tame"
    assert set(accepted) - set(reset) <= set(decoded)
