"""A run as one page that needs nothing else: verdict, timeline, faults, what was found and how to repeat it."""

from collections import Counter
from collections.abc import Iterator
from html import escape

from chaos.checks.finding import Finding
from chaos.facts import Facts
from chaos.judge import Verdict
from chaos.report.timeline import OUTCOMES, outcome_of, timeline

SHOWN_MAX = 50  # findings; the rest is in report.json

STYLE = """
:root { color-scheme: light dark; --ended: #2f8f5b; --canceled: #8a8f98; --dropped: #b8860b; --failed: #c96a1b;
  --open: #7048b6; --bad: #c22f2f; --line: #8884; --text: #1c1e21; --paper: #fff; }
@media (prefers-color-scheme: dark) { :root { --text: #e6e6e6; --paper: #17191c; --ended: #45b97c; --bad: #ff6b6b; } }
body { font: 15px/1.5 system-ui, sans-serif; color: var(--text); background: var(--paper); max-width: 1200px;
  margin: 2rem auto; padding: 0 1rem; }
h1 { font-size: 1.5rem; margin-bottom: 0; } h2 { font-size: 1.1rem; margin-top: 2rem; }
code, pre { font: 13px/1.45 ui-monospace, monospace; } pre { white-space: pre-wrap; overflow-wrap: anywhere;
  background: #8881; padding: .6rem .8rem; border-radius: 6px; }
table { border-collapse: collapse; } td, th { text-align: left; padding: .2rem 1.2rem .2rem 0; vertical-align: top; }
.verdict { display: inline-block; padding: 0 .6rem; border-radius: 4px; color: #fff; background: var(--bad); }
.verdict.pass { background: var(--ended); } .verdict.unknown { background: var(--dropped); }
.wide { overflow-x: auto; } .wide > svg { min-width: 60rem; } td:first-child { white-space: nowrap; }
svg { width: 100%; height: auto; } svg text { font: 10px system-ui, sans-serif; fill: var(--text); }
svg .who { text-anchor: end; } svg .tick { text-anchor: middle; opacity: .7; } svg .grid { stroke: var(--line); }
svg .fault { fill: var(--bad); opacity: .13; } svg .name { fill: var(--bad); font-size: 9px; }
svg .phase { fill: #8882; stroke: var(--line); } svg .waits { fill: var(--text); opacity: .35; }
svg .broken { stroke: var(--bad); stroke-width: 1.5; stroke-dasharray: 3 2; }
svg .refused { fill: var(--text); opacity: .4; }
.ended { fill: var(--ended); } .canceled { fill: var(--canceled); } .dropped { fill: var(--dropped); }
.failed { fill: var(--failed); } .open { fill: var(--open); }
.key span { margin-right: 1rem; } .key svg { width: 10px; height: 10px; margin-right: .3rem; }
"""


def page(facts: Facts, verdict: Verdict, command: str) -> str:
    """The HTML."""
    run = facts.run
    title = f"chaos: {run['workload']}, seed {run['seed']}"
    return "\n".join(
        [
            f'<!doctype html><html lang="en"><head><meta charset="utf-8"><title>{escape(title)}</title>',
            '<meta name="viewport" content="width=device-width">',
            f"<style>{STYLE}</style></head><body>",
            f'<h1>{escape(title)} <span class="verdict {verdict.outcome}">{verdict.outcome}</span></h1>',
            f"<p>{escape(', '.join(run['faults']) or 'no faults')}. Repeat: <code>{escape(command)}</code></p>",
            *_doubts(verdict),
            "<h2>Timeline</h2>",
            f'<div class="wide">{timeline(facts, verdict.findings)}</div>',
            *_key(facts),
            *_findings(verdict.findings),
            *_faults(facts),
            "</body></html>",
        ]
    )


def _doubts(verdict: Verdict) -> Iterator[str]:
    for doubt in verdict.doubts:
        yield f"<p><strong>unknown</strong>: {escape(doubt)}</p>"


def _key(facts: Facts) -> Iterator[str]:
    counts = Counter(outcome_of(task) for task in facts.accepted)
    refused = len(facts.tasks) - len(facts.accepted)
    yield '<p class="key">'
    for kind in OUTCOMES:
        square = f'<svg viewBox="0 0 10 10"><rect class="{kind}" width="10" height="10"/></svg>'
        yield f"<span>{square}{counts[kind]} {kind}</span>"
    yield f"<span>{refused} refused</span></p>"


def _findings(findings: tuple[Finding, ...]) -> Iterator[str]:
    if not findings:
        yield "<h2>Findings</h2><p>No rule was broken.</p>"
        return
    yield f"<h2>Findings: {len(findings)}</h2>"
    for finding in findings[:SHOWN_MAX]:
        yield f"<p><code>{escape(finding.rule)}</code> on {escape(finding.subject)}</p>"
        yield f"<pre>{escape(str(finding.violation))}</pre>"


def _faults(facts: Facts) -> Iterator[str]:
    yield "<h2>Faults</h2><table><tr><th>at</th><th>fault</th><th>hits</th><th>what was seen</th></tr>"
    for record in facts.of("fault"):
        cells = (f"{record['at_ms'] / 1000:.2f} s", record["name"], str(record["hits"]), record["told"])
        yield "<tr>" + "".join(f"<td>{escape(cell)}</td>" for cell in cells) + "</tr>"
    yield "</table>"
