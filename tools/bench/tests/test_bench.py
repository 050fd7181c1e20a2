"""The benchmark's arithmetic, its counting, and its processes: what would make a wrong table look right."""

import asyncio
import json
import subprocess
import sys
import time
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest

from reference_server.domain.task import Priority
from reference_server.domain.task_queue import TaskQueue
from tools.bench import figures, subjects
from tools.bench.engine import event
from tools.bench.load import Counter
from tools.bench.report import NOTES, Machine, Report, plot, table

MACHINE = Machine("a machine", rounds=3, load=(0.5, 2.0))
TOKEN = "CPU a token, one event a read"
UNITS = {TOKEN: "µs", "CPU of an admission": "µs", "memory": "bytes"}
MEDIANS = {
    (TOKEN, "ours"): 30.0,
    (TOKEN, "aiohttp floor"): 20.0,
    (TOKEN, "vllm-router"): 12.0,
    ("CPU of an admission", "ours"): 150.0,
    ("CPU of an admission", "aiohttp floor"): 50.0,
    ("memory", "ours"): 14_000.0,
}


@pytest.mark.req("OC-TEST-7101")
def test_ratios_are_to_the_router_and_to_the_floor_where_the_router_cannot_do_it() -> None:
    report = Report(UNITS, MEDIANS, MACHINE)

    assert {"ours": 2.5, "aiohttp floor": 20 / 12, "vllm-router": 1.0} == report.ratios(TOKEN)
    assert {"ours": 3.0, "aiohttp floor": 1.0} == report.ratios("CPU of an admission")
    assert {} == report.ratios("memory")


@pytest.mark.req("OC-TEST-7101")
def test_the_table_has_each_ratio_before_its_figure_and_keeps_the_notes() -> None:
    text = table(Report(UNITS, MEDIANS, MACHINE), kept=f"an older table\n\n{NOTES}\n\nunmet: two\n")

    assert f"| {TOKEN} | 2.50 (30.0 µs) | 1.67 (20.0 µs) | 1.00 (12.0 µs) |" in text
    assert "| CPU of an admission | 3.00 (150.0 µs) | 1.00 (50.0 µs) |  |" in text
    assert "| memory | 14,000.0 bytes |" in text
    assert "load average" in text.lower()
    assert text.endswith(f"{NOTES}\n\nunmet: two\n")
    assert "an older table" not in text


@pytest.mark.req("OC-TEST-7101")
def test_the_plot_has_a_bar_for_each_server_as_long_as_its_figure() -> None:
    bars = ET.fromstring(plot(Report(UNITS, MEDIANS, MACHINE))).findall("{http://www.w3.org/2000/svg}rect")[1:]  # noqa: S314 - our own
    ours, floor, router = (float(bar.attrib["width"]) for bar in bars)

    assert (1.5, 2.5) == pytest.approx((ours / floor, ours / router), rel=0.01)


@pytest.mark.req("OC-TEST-7101")
@pytest.mark.parametrize("size", [1, 3, 7, 1_000])
async def test_tokens_are_counted_once_however_the_stream_is_cut(size: int) -> None:
    stream = b"".join(b'id: %d\nevent: token\ndata: {"t":"x","i":%d}\n\n' % (n, n) for n in range(50))
    counter = Counter("orchqueue")
    raw = stream + b"id: 50\nevent: end\ndata: {}\n\n"
    for start in range(0, len(raw), size):
        counter.data_received(raw[start : start + size])

    await asyncio.wait_for(counter.ended, 1)
    assert 50 == counter.tokens


@pytest.mark.req("OC-TEST-7101")
async def test_a_stream_that_is_cut_is_a_failure_and_no_figure() -> None:
    counter = Counter("openai")
    counter.data_received(event(0, {}))
    counter.connection_lost(None)

    with pytest.raises(ConnectionError):
        await counter.ended


@pytest.mark.req("OC-TEST-7101")
def test_the_kernel_accounts_for_the_children_of_a_hop_too(tmp_path: Path) -> None:
    """Seen against what the child says of itself, since nobody else knows."""
    burn = (
        "import time, sys\n"
        "while time.process_time() < 0.3: pass\n"
        "sys.stdout.write(f'{time.process_time()}\\n'); sys.stdout.flush(); sys.stdin.read()"
    )
    parent = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {burn!r}])"
    started = subprocess.Popen([sys.executable, "-c", parent], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    try:
        assert started.stdout is not None
        burned = float(started.stdout.readline())
        hop = subjects.Hop("", started.pid)
        assert 2 == len(hop.pids)
        assert hop.cpu_s() >= burned
        alone = subjects.Hop("", hop.pids[1])
        assert alone.cpu_s() == pytest.approx(burned, abs=0.2)
        assert hop.resident_bytes() > alone.resident_bytes() > 1_000_000
    finally:
        started.communicate("")


@pytest.mark.req("OC-TEST-7101")
def test_a_queue_that_looks_through_all_that_wait_is_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    assert figures.queue_ns(20_000) < 10 * figures.queue_ns(10)
    plain = TaskQueue.put

    def planted(queue: TaskQueue, task_id: str, priority: Priority, *, tokens: int) -> object:
        queue.ids()
        return plain(queue, task_id, priority, tokens=tokens)

    monkeypatch.setattr(figures, "QUEUE_RUNS", 1)
    monkeypatch.setattr(TaskQueue, "put", planted)
    assert figures.queue_ns(20_000) > 10 * figures.queue_ns(10)


@pytest.mark.req("OC-TEST-7101")
def test_smoke_one_small_run_goes_through_engine_server_and_load(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(figures, "STREAMS", 8)
    monkeypatch.setattr(figures, "SHORT_TOKENS", 20)
    monkeypatch.setattr(figures, "TOKENS", 220)
    began = time.monotonic()

    cost_us = figures.cpu_per_token_us(subjects.ours, tmp_path, burst=4)

    assert 0 < cost_us * 8 * 220 < (time.monotonic() - began) * 2 * 1e6
    config = json.loads((tmp_path / "bench.yaml").read_text())
    assert "vllm" == config["pools"][0]["engine"]
