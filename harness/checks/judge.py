"""Everything that holds always, asked of everything that was recorded."""

from collections.abc import Iterator

from harness.checks import answer, stream
from harness.checks.violation import Violation
from harness.history import History
from harness.schema import Breach, Contract


def judge(history: History, contract: Contract) -> Iterator[Violation]:
    """Every violation of a universal rule in one history."""
    for exchange in [*history.exchanges, *(s.opening for s in history.streams if s.opening is not None)]:
        for check in answer.CHECKS:
            yield from check(exchange)
        yield from (_violation(breach, str(exchange)) for breach in contract.judge(exchange) if exchange.status)
    for recorded in history.streams:
        for rule in stream.CHECKS:
            yield from rule(recorded)
        for frame in recorded.frames:
            yield from (
                _violation(breach, f"{frame.event}: {frame.data[:200]}") for breach in contract.judge_frame(frame)
            )


def _violation(breach: Breach, at: str) -> Violation:
    if breach.part == "frame":
        return Violation("OC-CTRL-2021", f"a frame as the contract has it ({breach.schema})", str(breach), at)
    whose = "the harness sends only what the contract allows" if breach.part == "request" else "an answer as documented"
    return Violation("ORCH-3044", whose, str(breach), at)
