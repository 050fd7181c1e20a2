"""A proof as one HTML page that needs nothing beside it: the kill matrix, a table for each feature."""

from collections.abc import Iterator, Mapping
from html import escape
from typing import Any

STYLE = """
:root{color-scheme:light dark;--line:#8884;--good:#2c7a3f;--bad:#b3261e;--soft:#6b6b6b}
body{font:15px/1.45 system-ui,sans-serif;max-width:80rem;margin:2rem auto;padding:0 1rem}
table{border-collapse:collapse;margin:.5rem 0 2rem}th,td{padding:.15rem .5rem;border:1px solid var(--line)}
thead th{vertical-align:bottom;text-align:left;font-weight:400}
thead span{writing-mode:vertical-rl;transform:rotate(180deg);max-height:18rem}
.wide{overflow-x:auto}th:first-child{text-align:left;font-weight:400;position:sticky;left:0;background:Canvas}
td{text-align:center;min-width:1.2rem}
.K{background:var(--good);color:#fff;font-weight:700}.k{background:#2c7a3f66}.bad{color:var(--bad)}.soft{color:var(--soft)}
code{font:13px/1.4 ui-monospace,monospace}
"""


def page(proof: Mapping[str, Any]) -> str:
    """The page of a proof as JSON."""
    counts = f"{len(proof['planted'])} planted, {len(proof['killed'])} killed, {len(proof['survivors'])} survivors"
    parts = [
        '<!doctype html><html lang="en"><head><meta charset="utf-8"><title>Proof that the checks can fail</title>',
        f'<meta name="viewport" content="width=device-width"><style>{STYLE}</style></head><body>',
        f"<h1>Proof that the checks can fail</h1><p id=counts>{counts}. Exit code {proof['exit_code']}.</p>",
        *_wrong(proof),
        "<h2>The kill matrix</h2><p>Rows are defects, columns are checks. <b>K</b>: a step of the check has found it; ",
        "<b>k</b>: a rule that holds for everything has; <b>·</b>: not found; <b>-</b>: not reached.</p>",
        *_matrix(proof),
        "</body></html>\n",
    ]
    return "".join(parts)


def _wrong(proof: Mapping[str, Any]) -> Iterator[str]:
    known = {defect["id"]: defect for defect in proof["defects"]}
    listed = {
        "Survivors": {d: f"{', '.join(known[d]['breaks'])}: {known[d]['says']}" for d in proof["survivors"]},
        "Never planted": proof["never_fired"],
        "Red without a defect": proof["red_without_defect"],
        "Checks that found nothing": dict.fromkeys(proof["checks_that_find_nothing"], ""),
        "Left behind, and ended": {str(one["pid"]): one["command"] for one in proof["left_behind"]},
    }
    for title, rows in listed.items():
        if rows:
            yield f'<h2 class="bad">{title}</h2><ul>'
            yield "".join(f"<li><code>{escape(name)}</code> {escape(why)}</li>" for name, why in rows.items())
            yield "</ul>"


def _matrix(proof: Mapping[str, Any]) -> Iterator[str]:
    areas: dict[str, set[str]] = {}
    for defect in proof["defects"]:
        for cell in defect["checks"]:
            areas.setdefault(cell["check"].partition("/")[0], set()).add(cell["check"])
    for area, found in sorted(areas.items()):
        checks = sorted(found)
        yield f"<h3>{escape(area)}</h3><div class=wide><table><thead><tr><th>defect"
        yield "".join(f"<th><span>{escape(check.partition('/')[2])}</span>" for check in checks) + "</tr></thead>"
        for defect in proof["defects"]:
            cells = {cell["check"]: cell for cell in defect["checks"]}
            if any(check in cells for check in checks):
                yield f'<tr><th title="{escape(defect["says"])}"><code>{escape(defect["id"])}</code>'
                yield "".join(_cell(cells.get(check)) for check in checks) + "</tr>"
        yield "</table></div>"


def _cell(cell: Mapping[str, Any] | None) -> str:
    if cell is None:
        return "<td>"
    if cell["found"]:
        mark = "K" if cell["by_step"] else "k"
        return f'<td class="{mark}" title="{escape(cell["message"][:200])}">{mark}'
    return f'<td class="soft">{"·" if cell["fired"] else "-"}'
