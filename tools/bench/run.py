"""The benchmark's rounds and its table."""

import os
import platform
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from statistics import median

from tools.bench import figures, subjects

OUT = Path("tools/bench/RESULTS.md")
COMPARED: dict[str, tuple[str, Callable[..., float]]] = {
    "CPU a token, one event a read": ("µs", lambda start, folder: figures.cpu_per_token_us(start, folder, burst=1)),
    "CPU a token, 20 events a read": ("µs", lambda start, folder: figures.cpu_per_token_us(start, folder, burst=20)),
    "time to the first token": ("ms", figures.first_token_ms),
}
OWN: dict[str, tuple[str, Callable[[Path], float]]] = {
    "admissions for a second of CPU": ("", figures.admissions_per_core_s),
    "memory of an idle stream": ("bytes", figures.idle_stream_bytes),
    "cancel to the engine's closed connection, p99": ("ms", figures.cancel_ms),
}
REFERENCE = "vllm-router"


def run(rounds: int) -> int:
    """Measure, print the table and write it.

    Returns:
        The exit code.
    """
    compared = subjects.available()
    _say(f"comparing: {', '.join(compared)}; {rounds} rounds, interleaved")
    seen: dict[tuple[str, str], list[float]] = {}
    for number in range(rounds):
        for figure, (unit, measure) in COMPARED.items():
            for name, start in compared.items():
                value = _in_a_folder(lambda folder, m=measure, s=start: m(s, folder))  # type: ignore[misc]
                seen.setdefault((figure, name), []).append(value)
                _say(f"round {number + 1}: {figure}, {name}: {value:.1f} {unit}")
    own = {figure: (unit, _in_a_folder(measure)) for figure, (unit, measure) in OWN.items()}
    table = _table({key: median(values) for key, values in seen.items()}, list(compared), own, rounds)
    OUT.write_text(table, encoding="utf-8")
    _say(table)
    return 0


def _in_a_folder(measure: Callable[[Path], float]) -> float:
    with tempfile.TemporaryDirectory() as folder:
        return measure(Path(folder))


def _table(
    medians: dict[tuple[str, str], float], names: Sequence[str], own: dict[str, tuple[str, float]], rounds: int
) -> str:
    cpu = next((line for line in Path("/proc/cpuinfo").read_text().splitlines() if line.startswith("model name")), "")
    lines = [
        "# What the hop costs",
        "",
        f"`python -m tools bench --rounds {rounds}` on {time.strftime('%Y-%m-%d')}: {os.cpu_count()} cores,",
        f"{cpu.partition(':')[2].strip() or platform.machine()}, Python {platform.python_version()}. Medians of",
        f"interleaved rounds; 32 streams at 100 tokens/s; CPU by the kernel's accounting. (n x) = of {REFERENCE}.",
        "",
        f"| figure | {' | '.join(names)} |",
        f"|---|{'---|' * len(names)}",
    ]
    for figure, (unit, _) in COMPARED.items():
        base = medians.get((figure, REFERENCE))
        cells = [
            f"{medians[figure, name]:.1f} {unit}" + (f" ({medians[figure, name] / base:.2f}x)" if base else "")
            for name in names
        ]
        lines.append(f"| {figure} | {' | '.join(cells)} |")
    lines += ["", "| of the reference server alone | |", "|---|---|"]
    lines += [f"| {figure} | {value:,.1f} {unit} |" for figure, (unit, value) in own.items()]
    return "\n".join(lines) + "\n"


def _say(text: str) -> None:
    sys.stdout.write(text + "\n")
    sys.stdout.flush()
