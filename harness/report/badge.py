"""A badge: how many of the checks that a run could judge passed, as one small SVG."""

from collections import Counter
from collections.abc import Mapping
from typing import Any
from xml.sax.saxutils import escape

from harness.outcome import Outcome
from harness.report.json_file import FileReport

LABEL = "OrchQueue v1"
CHAR_PX = 6.6  # of 11 px Verdana, on average
GREEN, RED, GREY = "#2c7a3f", "#b3261e", "#6b6b6b"


def badge(report: Mapping[str, Any]) -> str:
    """The badge of a report as JSON."""
    counts = Counter(report["checks"].values())
    judged = sum(count for outcome, count in counts.items() if outcome != Outcome.NOT_APPLICABLE)
    says = f"{counts[Outcome.PASS]} of {judged} checks" if judged else "nothing judged"
    colour = {0: GREEN, 1: RED}.get(report["exit_code"], GREY)
    left, right = (round(len(text) * CHAR_PX) + 12 for text in (LABEL, says))
    text = 'fill="#fff" font-family="Verdana,DejaVu Sans,sans-serif" font-size="11" text-anchor="middle"'
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{left + right}" height="20" role="img"'
        f' aria-label="{escape(LABEL)}: {escape(says)}"><title>{escape(LABEL)}: {escape(says)}</title>'
        f'<rect width="{left}" height="20" fill="#444"/><rect x="{left}" width="{right}" height="20" fill="{colour}"/>'
        f'<g {text}><text x="{left / 2}" y="14">{escape(LABEL)}</text>'
        f'<text x="{left + right / 2}" y="14">{escape(says)}</text></g></svg>\n'
    )


class BadgeReport(FileReport):
    """The badge as a file."""

    def text(self, exit_code: int) -> str:
        """The SVG."""
        return badge(self.told(exit_code))
