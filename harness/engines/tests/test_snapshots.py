"""What a client gets through the reference server from each stand-in engine: one transcript, and the capabilities' row.

Small, and read by people; `pytest harness/engines/tests/test_snapshots.py --snapshot-update` writes them again. Times
are shown as `ms`, and `metrics` frames, which come by the clock, are left out.
"""

from collections.abc import Iterator
from contextlib import ExitStack, closing
from typing import Any

import pytest
from syrupy.assertion import SnapshotAssertion

from harness.client import Client
from harness.engines.llamacpp import LlamaCppFormat
from harness.engines.stand_in import stand_in
from harness.engines.tgi import TgiFormat
from harness.engines.triton import TritonFormat
from harness.engines.vllm import VllmFormat
from harness.engines.wire_format import WireFormat
from harness.history import History
from harness.target import REFERENCE_SERVER, Servers, Target

FORMATS: dict[str, WireFormat] = {
    "llamacpp": LlamaCppFormat(),
    "vllm": VllmFormat(),
    "tgi": TgiFormat(),
    "triton": TritonFormat(),
}
TASK_IDS = {name: f"00000000-0000-4000-8000-00000000000{number}" for number, name in enumerate(FORMATS)}
TIMES = {"decode_ms", "predicted_start_ms"}
END_MS = 60_000.0

every_engine = pytest.mark.parametrize("engine", FORMATS)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Target]:
    """One server with a pool for each engine."""
    servers = Servers(REFERENCE_SERVER, folder=tmp_path_factory.mktemp("servers"))
    with ExitStack() as stack:
        stack.callback(servers.stop)
        engines = {name: stack.enter_context(stand_in(wire)) for name, wire in FORMATS.items()}
        pools = [
            {
                "id": name,
                "engine": name,
                "model_ref": f"model-of-{name}",
                "replicas": [{"kind": "external", "url": engine.url}],
            }
            for name, engine in engines.items()
        ]
        yield servers.start({"pools": pools})


@pytest.fixture
def client(server: Target) -> Iterator[Client]:
    with closing(Client(server.url, token=server.token, history=History())) as speaking:
        yield speaking


def without_times(value: dict[str, Any]) -> dict[str, Any]:
    return {name: "ms" if name in TIMES else inner for name, inner in value.items()}


@every_engine
@pytest.mark.req("ORCH-3054", "ORCH-3055", "ORCH-3056", "ORCH-3057")
def test_stand_in_transcript(client: Client, engine: str, snapshot: SnapshotAssertion) -> None:
    task = {"task_id": TASK_IDS[engine], "session_id": TASK_IDS[engine], "workload": "completion", "engine": engine}
    limits = {"ctx": 512, "priority": "interactive", "max_tokens": 5, "deadline_ms": 600_000, "seed": 7}
    answer = client.submit({**task, **limits, "model_ref": f"model-of-{engine}", "prompt": "a b c"})
    assert 202 == answer.status, str(answer)

    reader = client.open_stream(TASK_IDS[engine])
    client.read_to_end([reader], deadline_ms=END_MS)

    frames = [(frame.event, without_times(frame.payload)) for frame in reader.record.frames if frame.event != "metrics"]
    assert snapshot == frames


@every_engine
@pytest.mark.req("ORCH-3025", "OC-ADAPT-5012")
def test_stand_in_capabilities(server: Target, engine: str, snapshot: SnapshotAssertion) -> None:
    (row,) = [row for row in server.capabilities()["engines"] if row["engine"] == engine]

    assert snapshot == row
