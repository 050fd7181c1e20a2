"""A run as one HTML page that needs nothing beside it: no script, no font, no image from elsewhere."""

from collections import defaultdict
from collections.abc import Iterator, Mapping
from html import escape
from typing import Any

from harness import requirements
from harness.outcome import Outcome
from harness.report.json_file import FileReport
from harness.report.prose import prose
from harness.report.result import described

STYLE = """
:root{color-scheme:light dark;--line:#8884;--pass:#2c7a3f;--fail:#b3261e;--warn:#946200;--else:#6b6b6b}
body{font:15px/1.45 system-ui,sans-serif;max-width:72rem;margin:2rem auto;padding:0 1rem}
table{border-collapse:collapse;width:100%}
th,td{text-align:left;padding:.25rem .6rem;border-bottom:1px solid var(--line)}
td{vertical-align:top}th{position:sticky;top:0;background:Canvas}code,pre{font:13px/1.4 ui-monospace,monospace}
pre{overflow-x:auto;border-left:3px solid var(--line);padding:.3rem .8rem;white-space:pre-wrap;overflow-wrap:anywhere}
p{overflow-wrap:anywhere}td:first-child{white-space:nowrap}
.v{font-weight:600;white-space:nowrap}.PASS{color:var(--pass)}.FAIL,.HANG,.NOT_TESTABLE{color:var(--fail)}
.WARN{color:var(--warn)}.UNKNOWN,.NOT_APPLICABLE{color:var(--else)}.n{text-align:right}article{margin:1.5rem 0}
@media(prefers-color-scheme:dark){:root{--pass:#57c878;--fail:#ff7b6e;--warn:#e0b050;--else:#9a9a9a}}
@media(max-width:45rem){th,td{padding:.25rem .3rem}#matrix thead{display:none}
#matrix tr{display:block;border-bottom:1px solid var(--line);padding:.4rem 0}
#matrix td{display:inline-block;border:0;padding:0 .6rem 0 0}#matrix td.s{display:block}
#matrix td.n:empty{display:none}#matrix td.n::after{content:" " attr(data-of)}}
"""
SHOWN = tuple(Outcome)


def page(report: Mapping[str, Any]) -> str:
    """The page of a report as JSON."""
    target = report["target"]
    engines = escape(described(target))
    counts = ", ".join(f'<span class="v {name}">{count} {name}</span>' for name, count in report["counts"].items())
    parts = [
        '<!doctype html><html lang="en"><head><meta charset="utf-8"><title>OrchQueue v1 conformance</title>',
        '<meta name="viewport" content="width=device-width">',
        f"<style>{STYLE}</style></head><body><h1>OrchQueue v1 conformance</h1>",
        f"<p>{escape(str(target.get('url', 'no server')))} ({engines}): {counts or 'nothing was judged'}.",
        f" It took {report['duration_ms'] / 1000:.1f} s.",
        f" Exit code {report['exit_code']}. {escape(report['stopped'])}</p>",
        *_failures(report),
        *_figures(report),
        *_matrix(report),
        "</body></html>\n",
    ]
    return "".join(parts)


def _failures(report: Mapping[str, Any]) -> Iterator[str]:
    silent = (Outcome.PASS, Outcome.NOT_APPLICABLE)
    shown = [entry for entry in report["scenarios"] if entry["outcome"] not in silent]
    closed, left = report["closed_gaps"], report["left_behind"]
    if shown or closed or left:
        yield "<h2>What did not pass</h2>"
    for check in closed:
        yield f"<p>Known gap that has closed: <code>{escape(check)}</code>. Remove its line.</p>"
    for one in left:
        yield f"<p>Left behind by the run, and ended: <code>{one['pid']} {escape(one['command'])}</code></p>"
    for entry in shown:
        yield f'<article><h3><span class="v {entry["outcome"]}">{entry["outcome"]}</span> '
        yield f"{escape(entry['feature'])}: {escape(entry['title'])}</h3>"
        if gap := report["gaps"].get(entry["check"]):
            yield f"<p>Known gap: {escape(gap)}</p>"
        yield f"<p>Repeat: <code>{escape(entry['repeat'])}</code></p>"
        yield f"<pre>{escape(entry['message'])}</pre>"
        if entry["trace"]:
            yield f"<details><summary>{len(entry['trace'])} requests, answers and streams</summary>"
            yield "".join(f"<pre>{escape(text)}</pre>" for text in entry["trace"])
            yield "</details>"
        yield "</article>"


def _figures(report: Mapping[str, Any]) -> Iterator[str]:
    if not report["figures"]:
        return
    yield "<h2>Figures</h2><table id=figures><thead><tr><th>figure"
    yield "".join(f"<th class=n>{of}" for of in ("checks", "least", "median", "most")) + "</tr></thead>"
    for name, figure in report["figures"].items():
        cells = "".join(f'<td class="n">{figure[of]:g}' for of in ("count", "min", "median", "max"))
        yield f"<tr><td><code>{escape(name)}</code>{cells}</tr>"
    yield "</table>"


def _matrix(report: Mapping[str, Any]) -> Iterator[str]:
    known = requirements.load()
    rows: dict[str, dict[str, int]] = defaultdict(lambda: defaultdict(int))
    for entry in report["scenarios"]:
        for identifier in entry["requirements"]:
            rows[identifier][entry["outcome"]] += 1
    used = [outcome for outcome in SHOWN if any(row[outcome] for row in rows.values())]
    yield "<h2>Requirements</h2><table id=matrix><thead><tr><th>id<th>verdict<th>sentence"
    yield "".join(f"<th class=n>{outcome}" for outcome in used) + "</tr></thead><tbody>"
    for identifier, verdict in report["requirements"].items():
        sentence = known[identifier].sentence if identifier in known else ""
        yield f'<tr id="{identifier}"><td><code>{identifier}</code><td class="v {verdict}">{verdict}'
        yield f"<td class=s>{prose(sentence)}"
        yield "".join(f'<td class="n" data-of="{of}">{rows[identifier][of] or ""}' for of in used) + "</tr>"
    yield "</tbody></table>"


class PageReport(FileReport):
    """The page as a file."""

    def text(self, exit_code: int) -> str:
        """The HTML."""
        return page(self.told(exit_code))
