"""A run on the terminal: progress while it goes on, each verdict as it falls, then the explanations."""

from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

from determinism.verdict import Verdict
from harness.report.console import STYLES


class ConsoleReport:
    """Shows a run.

    Args:
        command: that repeats it; a failing check is shown with it.
    """

    def __init__(self, console: Console, *, command: str) -> None:
        self._console = console
        self._command = command
        self._bars = Progress(
            SpinnerColumn(),
            MofNCompleteColumn(),
            BarColumn(),
            TimeElapsedColumn(),
            TextColumn("{task.description}"),
            console=console,
            transient=True,
            disable=not console.is_terminal,
        )
        self._bar = self._bars.add_task("starting server and engines", total=None)
        self._bars.start()

    def progress(self, check: str, done: int, total: int) -> None:
        """Move the bar."""
        self._bars.update(self._bar, description=escape(check), completed=done, total=total)

    def show(self, verdict: Verdict) -> None:
        """Print one verdict, its explanations, and how to see it again."""
        style = STYLES[verdict.outcome]
        self._say(f"[{style}]{verdict.outcome:<14}[/] {verdict.check:<10} {escape(verdict.text)}")
        for explanation in verdict.explanations:
            self._say(escape("\n".join(f"  {line}" for line in str(explanation).splitlines())))
        if verdict.outcome.is_failure:
            seeds = list(dict.fromkeys(f"--seed {m.case.seed}" for m in verdict.mismatches))[:3]
            self._say(f"  repeat    {escape(' '.join([self._command, f'--check {verdict.check}', *seeds]))}")

    def close(self) -> None:
        """Take the bar away."""
        self._bars.stop()

    def _say(self, text: str) -> None:
        self._console.print(text, highlight=False, soft_wrap=True)
