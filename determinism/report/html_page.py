"""A run as one self-contained page: verdicts, explanations, and a heat map of seeds against conditions."""

from collections import defaultdict
from collections.abc import Iterable
from html import escape
from pathlib import Path

from determinism.compare import divergence, most_frequent
from determinism.explain import Explanation
from determinism.recording import Conditions, Recording
from determinism.run import Run
from determinism.seeds import Case

STYLE = """
:root{color-scheme:light dark;--equal:#2f9e6e;--other:#d6336c;--none:#adb5bd;--line:#8884}
body{font:15px/1.5 system-ui,sans-serif;max-width:75rem;margin:2rem auto;padding:0 1rem}
h1{font-size:1.5rem;margin:0}h2{font-size:1.15rem;margin:2rem 0 .5rem}
table{border-collapse:collapse}td,th{text-align:left;padding:.25rem .6rem;vertical-align:top}
.verdicts td,.verdicts th{border-top:1px solid var(--line)}
.map{overflow-x:auto}.map table{font-size:12px}.map td{padding:1px}
.map th{padding:1px 6px;font-weight:normal;font-variant-numeric:tabular-nums}
.map thead th{vertical-align:bottom;max-width:7rem}
.map i{display:block;width:100%;min-width:3.2rem;height:14px;border-radius:2px}
.map i{font:10px/14px monospace;text-align:center;color:#fff}
.equal{background:var(--equal)}.other{background:var(--other)}
.none{background:repeating-linear-gradient(45deg,var(--none) 0 3px,transparent 3px 6px)}
.key i{display:inline-block;width:2rem;height:12px;border-radius:2px;vertical-align:-1px;margin:0 .4rem 0 1.2rem}
.PASS{color:var(--equal)}.FAIL,.HANG,.NOT_TESTABLE{color:var(--other);font-weight:600}
td code{white-space:nowrap;font-size:12px}
pre{white-space:pre-wrap;overflow-wrap:anywhere;border-left:3px solid var(--other);padding:.3rem .8rem;margin:.5rem 0}
"""

KEY = (
    "<p class=key><i class=equal></i>as most streams of its seed<i class=other></i>another one, from this token on"
    "<i class=none></i>no stream was wanted, or none came</p>"
)


def page(run: Run, *, command: str) -> str:
    """The page's text.

    Args:
        command: that repeats the run.
    """
    identities = sorted({str(recording.identity) for recording in run.evidence.recordings()})
    failed = sum(verdict.outcome.is_failure for verdict in run.verdicts)
    head = "all checks hold" if not failed else f"{failed} of {len(run.verdicts)} checks failed"
    explanations = [e for verdict in run.verdicts for e in verdict.explanations]
    parts = [
        f"<h1>Determinism: {head}</h1>",
        f"<p>{escape('; '.join(identities) or 'nothing was decoded')}<br><code>{escape(command)}</code></p>",
        "<table class=verdicts><tr><th>check</th><th>verdict</th><th>what was seen</th><th>proves</th></tr>",
        *(
            f"<tr><td>{escape(v.check)}</td><td class={v.outcome}>{v.outcome}</td><td>{escape(v.text)}</td>"
            f"<td>{' '.join(f'<code>{requirement}</code>' for requirement in v.requirements)}</td></tr>"
            for v in run.verdicts
        ),
        "</table>",
        "<h2>Differences</h2>" if explanations else "",
        *(f"<pre>{_explained(explanation)}</pre>" for explanation in explanations),
        "<h2>Every stream</h2>",
        KEY,
        f"<div class=map>{_heat_map(run)}</div>",
    ]
    body = "\n".join(part for part in parts if part)
    return (
        "<!doctype html><html lang=en><meta charset=utf-8><meta name=viewport content='width=device-width'>"
        f"<title>Determinism: {head}</title><style>{STYLE}</style><body>{body}</body></html>\n"
    )


def write(run: Run, path: Path, *, command: str) -> None:
    """Write the page."""
    path.write_text(page(run, command=command), encoding="utf-8")


def _explained(explanation: Explanation) -> str:
    return escape(str(explanation))


def _heat_map(run: Run) -> str:
    """A row for each seed, a column for each condition; sibling counts share one column of a replica."""
    cells: dict[tuple[Case, Conditions], list[Recording]] = defaultdict(list)
    for recording in run.evidence.recordings(*(check for check in run.evidence.taken if check != "control")):
        cells[recording.case, recording.under].append(recording)
    columns = sorted({under for _, under in cells}, key=_order)
    of_case: dict[Case, list[Recording]] = defaultdict(list)
    for (case, _), found in cells.items():
        of_case[case] += found
    expected = {case: most_frequent(found) for case, found in of_case.items()}
    head = "".join(f"<th>{escape(str(under))}</th>" for under in columns)
    rows = "".join(
        f"<tr><th>{case.seed}</th>"
        + "".join(_cell(case, under, cells.get((case, under), []), expected.get(case)) for under in columns)
        + "</tr>"
        for case in run.cases
    )
    return f"<table><thead><tr><th>seed</th>{head}</tr></thead><tbody>{rows}</tbody></table>"


def _cell(case: Case, under: Conditions, found: Iterable[Recording], expected: Recording | None) -> str:
    streams = list(found)
    if not streams or expected is None:
        return "<td><i class=none></i></td>"
    parted = [at for stream in streams if (at := divergence(expected, stream)) is not None]
    title = escape(f"seed {case.seed}, {under}: {streams[0].text}", quote=True)
    if not parted:
        return f'<td><i class=equal title="{title}"></i></td>'
    return f'<td><i class=other title="{title}">{min(at.index for at in parted)}</i></td>'


def _order(under: Conditions) -> tuple[bool, int, bool, int, str, int]:
    is_warm = under.cache == "warm"
    return (under.path == "direct", under.life, is_warm, under.siblings, under.replica, under.siblings_on_replica)
