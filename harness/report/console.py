"""A run on the terminal: progress while it goes on, then what failed and why, then the counts."""

from collections import defaultdict
from collections.abc import Mapping

from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

from harness import requirements
from harness.conform import EXIT_COULD_NOT_RUN, EXIT_USAGE, Event
from harness.outcome import Outcome
from harness.report.result import Finished, Planned, Result, described, repeat_command

STYLES = {
    Outcome.PASS: "green",
    Outcome.FAIL: "bold red",
    Outcome.HANG: "bold red",
    Outcome.NOT_TESTABLE: "red",
    Outcome.WARN: "yellow",
    Outcome.UNKNOWN: "magenta",
    Outcome.NOT_APPLICABLE: "dim",
}

LOG_LINES = 20


class ConsoleReport:
    """Shows a run.

    Args:
        options: those that the run was started with, for the commands that repeat a scenario.
    """

    def __init__(self, console: Console, *, options: list[str], gaps: Mapping[str, str] | None = None) -> None:
        self._console = console
        self._options = options
        self._result = Result(gaps=dict(gaps or {}))
        self._progress = Progress(
            SpinnerColumn(),
            MofNCompleteColumn(),
            BarColumn(),
            TimeElapsedColumn(),
            TextColumn("{task.description}"),
            console=console,
            transient=True,
            disable=not console.is_terminal,
        )
        self._bar = self._progress.add_task("starting the server", total=None)
        self._progress.start()

    def take(self, event: Event) -> None:
        """Move the bar, and tell of a failure at once."""
        self._result.take(event)
        match event["event"]:
            case "planned":
                self._progress.update(self._bar, total=len(self._result.planned))
            case "target":
                self._print_target()
            case "started":
                scenario = self._result.planned[event["id"]]
                self._progress.update(self._bar, description=escape(f"{scenario.feature}: {scenario.title}"))
            case "finished":
                self._progress.advance(self._bar)
                last = self._result.finished[-1]
                if last.outcome not in (Outcome.PASS, Outcome.NOT_APPLICABLE):
                    self._print_finished(last)

    def close(self, exit_code: int, log: str) -> None:
        """Print the summary."""
        self._progress.stop()
        result = self._result
        if result.stopped:
            self._console.print(f"[bold red]stopped[/]: {escape(result.stopped)}", soft_wrap=True)
        elif exit_code == EXIT_USAGE or (exit_code == EXIT_COULD_NOT_RUN and not result.finished):
            self._console.print(escape(_why(exit_code, log)), highlight=False, soft_wrap=True)
        self._print_not_applicable()
        for check in result.closed_gaps:
            self._console.print(f"[bold red]closed gap[/]: {check} passes; remove its line", highlight=False)
        for one in result.left_behind:
            told = f"[bold red]left behind[/], and ended: {one['pid']} {escape(one['command'])}"
            self._console.print(told, highlight=False, soft_wrap=True)
        for name, figure in result.figures.items():
            of = f"median {figure['median']:g} (at most {figure['max']:g}, {figure['count']:g} checks)"
            self._console.print(f"[dim]figure[/] {name:30} {of}", highlight=False)
        if result.finished:
            counts = ", ".join(
                f"[{STYLES[outcome]}]{result.counts[outcome]} {outcome}[/]"
                for outcome in Outcome
                if result.counts[outcome]
            )
            of = f"{len(result.finished)} of {len(result.planned)} scenarios"
            self._console.print(f"{of}: {counts} in {result.duration_ms / 1000:.1f} s")

    def _print_target(self) -> None:
        target = self._result.target
        self._console.print(f"judging {target['url']} ({escape(described(target))})", highlight=False)

    def _print_finished(self, entry: Finished) -> None:
        say = self._console.print
        title = escape(f"{entry.scenario.feature}: {entry.scenario.title}")
        if entry.gap:
            say(f"[dim]known gap[/] {title}: {escape(entry.gap)}", highlight=False, soft_wrap=True)
            return
        say(f"[{STYLES[entry.outcome]}]{entry.outcome}[/] {title}")
        known = requirements.load()
        for violation in entry.violations:
            found = known.get(violation["req"])
            say(f"  [bold]{violation['req']}[/] {escape(found.sentence) if found else ''}", highlight=False)
            say(f"    expected  {escape(violation['expected'])}", highlight=False)
            say(f"    actual    {escape(violation['actual'])}", highlight=False)
            for line in violation["at"].splitlines():
                say(f"    [dim]{escape(line)}[/]", highlight=False)
        if not entry.violations:
            proves = [known[i] for i in entry.scenario.requirements if i in known]
            for requirement in proves:
                say(f"  [bold]{requirement.id}[/] {escape(requirement.sentence)}", highlight=False)
            for line in entry.message.splitlines():
                say(f"    {escape(line)}", highlight=False)
        say(f"  repeat    {escape(repeat_command(entry.scenario, self._options))}", highlight=False, soft_wrap=True)

    def _print_not_applicable(self) -> None:
        reasons: dict[str, int] = defaultdict(int)
        for entry in self._result.finished:
            if entry.outcome is Outcome.NOT_APPLICABLE:
                reasons[entry.message] += 1
        for reason, count in reasons.items():
            self._console.print(f"[dim]{count} NOT_APPLICABLE: {escape(reason)}[/]", highlight=False, soft_wrap=True)


class PlanReport:
    """Lists what a run would do."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._result = Result()

    def take(self, event: Event) -> None:
        """Gather the plan."""
        self._result.take(event)

    def close(self, exit_code: int, log: str) -> None:
        """Print each check once, with how often it runs."""
        planned = self._result.planned.values()
        rows: dict[str, list[Planned]] = defaultdict(list)
        for scenario in planned:
            rows[scenario.check].append(scenario)
        for check, found in rows.items():
            first = found[0]
            marks = " ".join([first.severity, *first.profiles, *(["disturbs"] if first.disturbs else [])])
            line = f"{len(found):4} {check}  [dim]{marks}  {' '.join(first.requirements)}[/]"
            self._console.print(line, highlight=False, soft_wrap=True)
        if planned:
            self._console.print(f"{len(rows)} checks, {len(planned)} scenarios")
        else:
            self._console.print(escape(_why(exit_code, log)), highlight=False, soft_wrap=True)


def _why(exit_code: int, log: str) -> str:
    lines = [line for line in log.splitlines() if line.strip()]
    is_refused = any(line.startswith("ERROR") for line in lines)  # before or after the count: two streams, one log
    if exit_code == EXIT_USAGE and not is_refused:
        return "no scenario matches"
    return "\n".join(lines[-LOG_LINES:])
