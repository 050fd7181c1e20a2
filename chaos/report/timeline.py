"""A run as a drawing: time to the right, faults as bands, a row for a client, a bar for a task. One SVG, no script."""

from collections.abc import Iterator, Sequence
from html import escape
from itertools import pairwise

from chaos.checks.finding import Finding
from chaos.facts import FOREVER, Facts, Task

WIDTH, LEFT, ROW, TOP = 1160, 130, 18, 108
LINES = tuple(range(34, TOP - 14, 11))  # for the names of faults: each on the first where it covers no other
LETTER = 5.2  # how wide one of a fault's name is
BAR = 10
TASKS_MAX = 3_000  # drawn; the longest run stays a page that a browser scrolls

OUTCOMES = ("ended", "canceled", "dropped", "failed", "open")


def timeline(facts: Facts, findings: Sequence[Finding]) -> str:
    """The SVG."""
    end_ms = _end_ms(facts)
    scale = (WIDTH - LEFT - 10) / end_ms
    rows = _rows(facts)
    height = TOP + ROW * (len(rows) + 1) + 24
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" role="img" aria-label="timeline">',
        *_faults(facts, scale, height),
        *_phases(facts, scale, end_ms),
        *_axis(end_ms, scale, height),
        *(line for number, (who, tasks) in enumerate(rows.items()) for line in _row(number, who, tasks, scale, end_ms)),
        *_marks(findings, scale, height),
        "</svg>",
    ]
    return "\n".join(parts)


def outcome_of(task: Task) -> str:
    """How a task ended, as its colour tells."""
    if not task.terminals:
        return "open"
    match task.error:
        case None:
            return "ended"
        case "CANCELED":
            return "canceled"
        case "QUEUE_FULL_DROP_LRU" | "ADMISSION_REJECT":
            return "dropped"
        case _:
            return "failed"


def _bar(kind: str, x: str, y: float, width: float, height: float, title: str) -> str:  # noqa: PLR0917 - a rectangle
    return f'<rect class="{kind}" x="{x}" y="{y}" width="{width:.1f}" height="{height}">{title}</rect>'


def _x(at_ms: float, scale: float) -> str:
    return f"{LEFT + at_ms * scale:.1f}"


def _end_ms(facts: Facts) -> float:
    times = [float(r[name]) for r in facts.records for name in ("at_ms", "closed_ms", "answered_ms") if name in r]
    return max(times, default=1.0) or 1.0


def _rows(facts: Facts) -> dict[str, list[Task]]:
    """Tasks by the client that first sent them."""
    sender: dict[str, str] = {}
    for record in facts.of("exchange"):
        if (record["method"], record["path"]) == ("POST", "/v1/tasks"):
            sender.setdefault(record["request_body"], record["who"])
    rows: dict[str, list[Task]] = {}
    for task in list(facts.tasks.values())[:TASKS_MAX]:
        who = sender.get(task.submits[0].request_body.decode("utf-8", "replace"), "?")
        rows.setdefault(who, []).append(task)
    return dict(sorted(rows.items(), key=lambda row: _place(row[0])))


def _place(who: str) -> tuple[bool, int, str]:
    """Clients by number, then the others."""
    return not (who[:1] == "c" and who[1:].isdigit()), len(who), who


def _row(number: int, who: str, tasks: Sequence[Task], scale: float, end_ms: float) -> Iterator[str]:
    y = TOP + ROW * number
    yield f'<text class="who" x="{LEFT - 8}" y="{y + 9}">{escape(who)}</text>'
    for task in tasks:
        if task.accepted is None:
            x = _x(task.first_sent_ms, scale)
            yield f'<rect class="refused" x="{x}" y="{y + 2}" width="1.5" height="{BAR - 4}"/>'
            continue
        start, end = task.first_sent_ms, min(_over_ms(task), end_ms)
        run = min(task.asked_ms, end)
        title = f"<title>{task.id} {task.priority}: {task.error or outcome_of(task)}</title>"
        if run > start:
            width = (run - start) * scale
            yield _bar("waits", _x(start, scale), y + 4, width, 2, title)
        width = max(1.5, (end - run) * scale) if task.asked_ms != FOREVER else 1.5
        kind = outcome_of(task)
        yield _bar(kind, _x(run, scale), y, width, BAR, title)


def _over_ms(task: Task) -> float:
    """When it was over, as nearly as is known: nobody may have read its end before the final reads."""
    decoded_ms = task.asked[-1].let_go_ms if task.asked else None
    return min(task.ended_by_ms, task.canceled_ms, decoded_ms if decoded_ms is not None else FOREVER)


def _faults(facts: Facts, scale: float, height: int) -> Iterator[str]:
    until = dict.fromkeys(LINES, 0.0)
    for record in facts.of("fault"):
        width = max(2.0, (record["until_ms"] - record["at_ms"]) * scale)
        x = _x(record["at_ms"], scale)
        line = next((y for y in LINES if until[y] <= float(x)), min(LINES, key=until.__getitem__))
        until[line] = float(x) + LETTER * len(record["name"])
        title = f"<title>{escape(record['name'])}: {escape(record['told'])}</title>"
        yield _bar("fault", x, TOP - 8, width, height - TOP - 12, title)
        yield f'<text class="name" x="{x}" y="{line}">{escape(record["name"])}</text>'


def _phases(facts: Facts, scale: float, end_ms: float) -> Iterator[str]:
    phases = [(record["name"], float(record["at_ms"])) for record in facts.of("phase")]
    for (name, at_ms), (_, until_ms) in pairwise([*phases, ("", end_ms)]):
        width = max(0.0, (until_ms - at_ms) * scale)
        yield _bar("phase", _x(at_ms, scale), 6, width, 14, f"<title>{escape(name)}</title>")
        if width > 7 * len(name):
            yield f'<text class="phase-name" x="{_x(at_ms, scale)}" dx="3" y="17">{escape(name)}</text>'


def _axis(end_ms: float, scale: float, height: int) -> Iterator[str]:
    step = next(s for s in (1, 2, 5, 10, 20, 60, 120, 300, 3_600) if end_ms / 1000 / s <= 14)
    for second in range(0, int(end_ms / 1000) + 1, step):
        x = _x(second * 1000, scale)
        yield f'<line class="grid" x1="{x}" x2="{x}" y1="{TOP - 8}" y2="{height - 18}"/>'
        yield f'<text class="tick" x="{x}" y="{height - 5}">{second} s</text>'


def _marks(findings: Sequence[Finding], scale: float, height: int) -> Iterator[str]:
    for finding in findings:
        if finding.at_ms is not None and finding.at_ms < FOREVER:
            x = _x(finding.at_ms, scale)
            title = f"<title>{escape(finding.rule)}: {escape(finding.subject)}</title>"
            yield f'<line class="broken" x1="{x}" x2="{x}" y1="{TOP - 8}" y2="{height - 18}">{title}</line>'
