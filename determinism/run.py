"""A run: decode what each check needs, judge, and explain what differs.

Source: ORCH-3045, ORCH-3050, ORCH-3051, OC-TEST-7001 … 7003.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from determinism import verdict as verdicts
from determinism.compare import Mismatch
from determinism.explain import Explanation, explain
from determinism.lab import Bench, BenchLab
from determinism.recording import Recording
from determinism.replay import Decoding, Orchestrated
from determinism.seeds import Case
from determinism.verdict import CHECKS, Evidence, Verdict
from harness import leftovers
from harness.engines.direct import EngineDoesNotTellError
from harness.outcome import HangError, LateError, Outcome

SIBLINGS = (1, 2, 8, 9, 32, 45, 64)  # known bugs sit at the edges of block sizes: vLLM #51187, #48271
WARM_EVERY = 9  # of the cases: each is decoded twice there; one more than there are prompts, so that each has its turn
SEEDLESS = 3  # tasks without a seed; that all give one text by chance does not happen
ROUNDS_MAX = 4  # of one case: a replica that no round has reached is reported as missing
EXPLAINED_MAX = 3  # of each check; every one takes some dozens of decodes

Progress = Callable[[str, int, int], None]
"""Called with a check, how much of it is done, and of how much."""


@dataclass(slots=True)
class Run:
    """One run on one bench.

    Args:
        checks: which to run; `replicas` always is, as the baseline of all others.
        wanted: how many replicas there have to be; None = as many as there are.
        engines: the server's, as its capabilities describe them; for the report.
        left_behind: processes that still ran when everything was stopped.
    """

    bench: Bench
    cases: Sequence[Case]
    checks: Sequence[str] = tuple(CHECKS)
    wanted: int | None = None
    progress: Progress = lambda *_: None
    engines: list[dict[str, Any]] = field(default_factory=list)
    left_behind: list[leftovers.LeftBehind] = field(default_factory=list)
    evidence: Evidence = field(init=False)
    verdicts: list[Verdict] = field(default_factory=list)

    def __post_init__(self) -> None:
        """Nothing is decoded yet."""
        self.evidence = Evidence(self.cases)

    @property
    def exit_code(self) -> int:
        """1 when something did not hold, or was left behind."""
        return int(bool(self.left_behind) or any(verdict.outcome.is_failure for verdict in self.verdicts))

    def __iter__(self) -> Iterator[Verdict]:
        """Run, and give each verdict as soon as it is there."""
        for check in CHECKS:
            if check in self.checks or check == "replicas":
                verdict = self._verdict(check)
                self.verdicts.append(verdict)
                yield verdict

    def _verdict(self, check: str) -> Verdict:
        if check in verdicts.OF_ALL:
            return verdicts.OF_ALL[check](self.evidence)
        if check == "restart" and not self.bench.can_restart:
            return Verdict(check, Outcome.NOT_APPLICABLE, "these engines are not ours to restart")
        try:
            self.evidence.taken[check] = list(self._decoded(check))
        except HangError as error:
            return Verdict(check, Outcome.HANG, str(error))
        except LateError as error:
            return Verdict(check, Outcome.UNKNOWN, str(error))
        except EngineDoesNotTellError as error:
            return Verdict(check, Outcome.NOT_TESTABLE, str(error))
        self._note(check)
        return self._judged(check)

    def _judged(self, check: str) -> Verdict:
        if check == "control":
            return verdicts.control(self.evidence)
        if check == "direct" and self.bench.direct() is None:
            return Verdict(check, Outcome.NOT_APPLICABLE, "no engine can be asked directly; name one with --engine-url")
        if check == "siblings" and self.bench.slots < 2:
            return Verdict(check, Outcome.NOT_APPLICABLE, "this server decodes one task at a time")
        found = verdicts.mismatches_of(check, self.evidence)
        verdict = verdicts.equality(check, self.evidence, found, self._explained(found))
        match check:
            case "replicas":
                return verdicts.replicas(self.evidence, verdict, wanted=self.wanted)
            case "siblings":
                return verdicts.siblings(self.evidence, verdict)
        return verdict

    def _decoded(self, check: str) -> Iterable[Decoding]:
        server = self.bench.server
        if check == "restart":
            self.progress(check, 0, len(self.cases))
            server = self.bench.restart()
        assert server is not None, "a run begins on a bench that was started"  # noqa: S101
        match check:
            case "replicas" | "restart":
                yield from self._everywhere(check, server)
            case "warm-cache":
                yield from self._warm(server)
            case "siblings":
                yield from self._beside(server)
            case "control":
                self.progress(check, 0, 1)
                yield from server.decode(self.cases[0], copies=SEEDLESS, has_seed=False)
            case "direct":
                yield from self._direct()

    def _everywhere(self, check: str, server: Orchestrated) -> Iterator[Decoding]:
        """Every case on every replica; where tasks go is the server's choice, so some are sent again for a place."""
        names: set[str] = set()
        for number, case in enumerate(self.cases):
            self.progress(check, number, len(self.cases))
            reached: set[str] = set()
            for _ in range(ROUNDS_MAX):
                decoded = server.decode(case, copies=self.bench.copies)
                yield from decoded
                reached |= {one.under.replica for one in decoded if isinstance(one, Recording)}
                names |= reached
                if not reached or len(reached) >= (self.wanted or len(names)):
                    break

    def _warm(self, server: Orchestrated) -> Iterator[Decoding]:
        """Right after the same prompt, with the hint that its cache may be used."""
        some = self.cases[::WARM_EVERY]
        for number, case in enumerate(some):
            self.progress("warm-cache", number, len(some))
            self.bench.cool(case)
            yield from server.decode(case, copies=self.bench.copies)
            yield from server.decode(case, copies=self.bench.copies, cache="warm")

    def _beside(self, server: Orchestrated) -> Iterator[Decoding]:
        """As many streams as there are counts: beside each that leaves a slot for it, and beside all that do."""
        others = server.service.slots - 1
        counts = sorted({min(count, others) for count in SIBLINGS} - {0})
        for number in range(len(SIBLINGS) if counts else 0):
            self.progress("siblings", number, len(SIBLINGS))
            yield from server.decode(self.cases[number % len(self.cases)], siblings=counts[number % len(counts)])

    def _direct(self) -> Iterator[Decoding]:
        engine = self.bench.direct()
        for number, case in enumerate(self.cases if engine is not None else ()):
            self.progress("direct", number, len(self.cases))
            if engine is not None:
                yield engine.decode(case)

    def _explained(self, found: Sequence[Mismatch]) -> list[Explanation]:
        lab = BenchLab(self.bench, tell=lambda text: self.progress(text, 0, 1))
        first = {m.case: m for m in reversed(found)}
        return [explain(m, lab) for m in list(first.values())[-EXPLAINED_MAX:]]

    def _note(self, check: str) -> None:
        """Tell the bench which replicas and which identity the baseline has shown."""
        streams = self.evidence.recordings(check)
        if check == "replicas" and streams:
            self.bench.identity = streams[0].identity
            self.bench.replicas = tuple(sorted({r.under.replica for r in streams}))
