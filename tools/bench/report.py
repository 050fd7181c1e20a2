"""The benchmark's table and its plot, from medians: ratios first, and what the machine was."""

import os
import platform
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

REFERENCES = ("vllm-router", "aiohttp floor")  # ratios are to the first of them that was measured
NOTES = "## What the figures say"  # from here on the file is written by hand, and kept
BAR, GAP, LEFT, WIDTH = 22, 8, 150, 640


@dataclass(frozen=True, slots=True)
class Machine:
    """Where and when it was measured.

    Attributes:
        load: the least and the highest load average between rounds: what else ran.
    """

    text: str
    rounds: int
    load: tuple[float, float]

    @classmethod
    def here(cls, rounds: int, loads: Sequence[float]) -> "Machine":
        """This one."""
        info = Path("/proc/cpuinfo").read_text(encoding="utf-8")
        model = next(
            (line.partition(":")[2].strip() for line in info.splitlines() if line.startswith("model name")), ""
        )
        text = f"{time.strftime('%Y-%m-%d', time.gmtime())}, {os.cpu_count()} cores ({model or platform.machine()})"
        text += f", {platform.system()} {platform.release().split('-')[0]}, Python {platform.python_version()}"
        return cls(text, rounds, (min(loads), max(loads)))


@dataclass(frozen=True, slots=True)
class Report:
    """The units by figure, the medians by figure and server, and the machine."""

    units: Mapping[str, str]
    medians: Mapping[tuple[str, str], float]
    machine: Machine

    @property
    def names(self) -> list[str]:
        """The servers, in the order in which they were measured."""
        return list(dict.fromkeys(name for _, name in self.medians))

    def of(self, figure: str) -> dict[str, float]:
        """A figure by server."""
        return {name: value for (about, name), value in self.medians.items() if about == figure}

    def ratios(self, figure: str) -> dict[str, float]:
        """The same as ratios to the first reference that it has; empty where it has none."""
        values = self.of(figure)
        base = next((values[name] for name in REFERENCES if values.get(name)), None)
        return {} if base is None else {name: value / base for name, value in values.items()}


def table(report: Report, *, kept: str = "") -> str:
    """The report as Markdown, followed by the notes of the one that it takes the place of."""
    machine = report.machine
    compared = [figure for figure in report.units if report.ratios(figure)]
    least, most = machine.load
    lines = [
        "# What the hop costs",
        "",
        f"`python -m tools bench --rounds {machine.rounds}`: {machine.text}.",
        f"Load average between rounds {least:.1f} to {most:.1f}: times are what they are with that beside them.",
        "32 streams at 100 tokens/s; CPU is the kernel's accounting of the hop's own processes; medians of interleaved",
        "rounds. Each cell: the ratio to vllm-router in the same run (to the bare aiohttp handler where that cannot do",
        "it), and the figure.",
        "",
        "![CPU a token, one event a read](results.svg)",
        "",
        f"| | {' | '.join(report.names)} |",
        f"|---|{'---|' * len(report.names)}",
    ]
    for figure in compared:
        values, ratios = report.of(figure), report.ratios(figure)
        cells = [
            f"{ratios[name]:.2f} ({values[name]:,.1f} {report.units[figure]})" if name in values else ""
            for name in report.names
        ]
        lines.append(f"| {figure} | {' | '.join(cells)} |")
    lines += ["", "| of the reference server alone | |", "|---|---|"]
    for figure in report.units:
        if figure not in compared:
            lines += [f"| {figure} | {value:,.1f} {report.units[figure]} |" for value in report.of(figure).values()]
    _, mark, notes = kept.partition(NOTES)
    return "\n".join(lines) + "\n" + (f"\n{mark}{notes}" if mark else "")


def plot(report: Report, figure: str = "CPU a token, one event a read") -> str:
    """A figure as bars, in SVG."""
    values = report.of(figure)
    longest = max(values.values(), default=1.0)
    height = (BAR + GAP) * len(values) + 40
    rows = []
    for number, (name, value) in enumerate(values.items()):
        top = 34 + number * (BAR + GAP)
        width = round((WIDTH - LEFT - 90) * value / longest)
        rows += [
            f'<text x="{LEFT - 8}" y="{top + 16}" text-anchor="end">{name}</text>',
            f'<rect x="{LEFT}" y="{top}" width="{width}" height="{BAR}" fill="#4a7"/>',
            f'<text x="{LEFT + width + 6}" y="{top + 16}">{value:.1f} {report.units[figure]}</text>',
        ]
    head = f'<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH}" height="{height}" font-family="sans-serif" '
    title = f'<text x="8" y="20" font-weight="bold">{figure}</text>'
    background = f'<rect width="{WIDTH}" height="{height}" fill="#fff"/>'
    return "\n".join([f'{head}font-size="13">', background, title, *rows, "</svg>"]) + "\n"
