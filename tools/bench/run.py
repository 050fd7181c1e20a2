"""The benchmark's rounds: each figure of each server in turn, so that a machine that drifts drifts for all of them."""

import os
import sys
import tempfile
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from statistics import median

from tools.bench import figures, subjects
from tools.bench.report import Machine, Report, plot, table
from tools.bench.subjects import FLOOR, OURS, UNKEPT

OUT, PLOT = Path("tools/bench/RESULTS.md"), Path("tools/bench/results.svg")

Subject = Callable[[int, Path], object]

# By figure: its unit, how it is measured, and for which servers; None = for all but the one without a journal.
COMPARED: dict[str, tuple[str, Callable[..., float], tuple[str, ...] | None]] = {
    "CPU a token, one event a read": ("µs", partial(figures.cpu_per_token_us, burst=1), None),
    "CPU a token, 20 events a read": ("µs", partial(figures.cpu_per_token_us, burst=20), None),
    "CPU of a request of 20 tokens": ("µs", figures.cpu_per_request_us, None),
    "time to the first token, idle": ("ms", figures.first_token_ms, None),
    "the same without a journal": (
        "ms",
        figures.first_token_ms,
        (UNKEPT, FLOOR, "nginx", "vllm-router", "sglang-router"),
    ),
    "CPU of an admission": ("µs", figures.admission_us, (OURS, FLOOR)),
}
OWN: dict[str, tuple[str, Callable[[Path], float]]] = {
    "memory of an idle stream": ("bytes", figures.idle_stream_bytes),
    "memory of a reader that takes nothing": ("bytes", figures.stalled_reader_bytes),
    "cancel to the engine's closed connection, p99": ("ms", figures.cancel_ms),
    "fsync of this disk, which an admission waits for": ("ms", figures.fsync_ms),
    "queue: a put and a pop, 10 waiting": ("ns", lambda _: figures.queue_ns(10)),
    "queue: a put and a pop, 100,000 waiting": ("ns", lambda _: figures.queue_ns(100_000)),
}


def run(rounds: int) -> int:
    """Measure, print the table, and write it with its plot.

    Returns:
        The exit code: 0, or 3 when something could not be measured.
    """
    there = subjects.available()
    _say(f"comparing {', '.join(name for name in there if name != UNKEPT)}; {rounds} rounds, interleaved")
    seen: dict[tuple[str, str], list[float]] = {}
    loads = [os.getloadavg()[0]]
    try:
        for number in range(rounds):
            _round(number, there, seen)
            loads.append(os.getloadavg()[0])
    except (RuntimeError, OSError) as error:
        sys.stderr.write(f"tools bench: {error}\n")
        return 3
    report = Report(
        {
            **{figure: unit for figure, (unit, _, _) in COMPARED.items()},
            **{name: unit for name, (unit, _) in OWN.items()},
        },
        {key: median(values) for key, values in seen.items()},
        Machine.here(rounds, loads),
    )
    OUT.write_text(table(report, kept=OUT.read_text(encoding="utf-8") if OUT.exists() else ""), encoding="utf-8")
    PLOT.write_text(plot(report), encoding="utf-8")
    _say(OUT.read_text(encoding="utf-8"))
    return 0


def _round(number: int, there: Mapping[str, Subject], seen: dict[tuple[str, str], list[float]]) -> None:
    for figure, (unit, measure, only) in COMPARED.items():
        names = [name for name in there if (name in only if only else name != UNKEPT)]
        for name in names if number % 2 == 0 else reversed(names):
            value = _in_a_folder(partial(measure, there[name]))
            seen.setdefault((figure, name), []).append(value)
            _say(f"round {number + 1}: {figure}, {name}: {value:,.1f} {unit}")
    for figure, (unit, own) in OWN.items():
        value = _in_a_folder(own)
        seen.setdefault((figure, OURS), []).append(value)
        _say(f"round {number + 1}: {figure}: {value:,.1f} {unit}")


def _in_a_folder(measure: Callable[[Path], float]) -> float:
    with tempfile.TemporaryDirectory() as folder:
        return measure(Path(folder))


def _say(text: str) -> None:
    sys.stdout.write(text + "\n")
    sys.stdout.flush()
