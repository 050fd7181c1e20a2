"""The requirement index as one self-contained HTML page: a row for each sentence, what names it behind each number.

Source: OC-TEST-7092.
"""

from collections import Counter
from collections.abc import Iterable, Iterator
from html import escape

from harness.report.prose import prose
from harness.trace import KINDS, Entry

STYLE = """
:root { color-scheme: light dark; font: 15px/1.45 system-ui, sans-serif; }
body { margin: 2rem auto; max-width: 76rem; padding: 0 1rem; }
table { border-collapse: collapse; width: 100%; }
th, td { border-bottom: 1px solid #8884; padding: .35rem .5rem; text-align: left; vertical-align: top; }
th { position: sticky; top: 0; background: Canvas; }
td:first-child { white-space: nowrap; font-family: ui-monospace, monospace; }
summary { cursor: pointer; }
ul { margin: .2rem 0; padding-left: 1.1rem; font-family: ui-monospace, monospace; font-size: 12px; }
.none { color: #b3261e; font-weight: 600; }
.reason { color: #8a6d00; }
@media (prefers-color-scheme: dark) { .none { color: #ff7b6e; } .reason { color: #e0b050; } }
@media (max-width: 45rem) {
  thead { display: none; }
  tr:not([hidden]) { border-bottom: 1px solid #8884; display: block; padding: .4rem 0; }
  td { border: 0; display: inline-block; padding: 0 .6rem 0 0; }
  td.sentence { display: block; }
  td:empty { display: none; }
  li { overflow-wrap: anywhere; }
  summary::after { content: " " attr(data-of); }
}
input { font: inherit; padding: .3rem .5rem; width: 20rem; max-width: 100%; }
"""
SCRIPT = """
const rows = [...document.querySelectorAll("tbody tr")];
document.querySelector("input").addEventListener("input", (event) => {
  const wanted = event.target.value.toLowerCase();
  for (const row of rows) row.hidden = !row.textContent.toLowerCase().includes(wanted);
});
"""


def page(entries: Iterable[Entry]) -> str:
    """The whole page; it loads nothing."""
    found = list(entries)
    counts = Counter(_state(entry) for entry in found)
    said = ", ".join(f"{number} {state}" for state, number in counts.most_common())
    head = "".join(f"<th scope=col>{name}</th>" for name in ("id", "level", "sentence", *KINDS))
    return (
        '<!doctype html>\n<html lang="en">\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width">\n<title>OrchQueue requirements</title>\n'
        f"<style>{STYLE}</style>\n<h1>Requirements</h1>\n<p>{len(found)} sentences: {said}.</p>\n"
        '<p><label>Show only <input type="search" placeholder="id, word or file"></label></p>\n'
        f"<table>\n<thead><tr>{head}</tr></thead>\n<tbody>\n{''.join(map(_row, found))}</tbody>\n</table>\n"
        f"<script>{SCRIPT}</script>\n</html>\n"
    )


def _state(entry: Entry) -> str:
    if entry["scenarios"] or entry["tests"]:
        return "checked"
    return next((name for name in ("excluded", "gap") if name in entry), "without a check")


def _row(entry: Entry) -> str:
    cells = [f"<td>{entry['id']}</td>", f"<td>{entry['level']}</td>", *_cells(entry)]
    return f'<tr id="{entry["id"]}">{"".join(cells)}</tr>\n'


def _cells(entry: Entry) -> Iterator[str]:
    state = _state(entry)
    note = "" if state == "checked" else f'<br><span class="{"none" if state.startswith("w") else "reason"}">{state}'
    if note:
        note += f": {escape(entry[state])}</span>" if state in entry else "</span>"
    yield f'<td class="sentence">{prose(entry["sentence"])}{note}</td>'
    for kind in KINDS:
        places = "".join(f"<li>{escape(place)}</li>" for place in entry[kind])
        count = f'<summary data-of="{kind}">{len(entry[kind])}</summary>'
        yield f"<td><details>{count}<ul>{places}</ul></details></td>" if places else "<td></td>"
