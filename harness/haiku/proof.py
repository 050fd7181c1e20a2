"""The checks of the haiku. Pure: from what was seen to verdicts.

Why they prove what they claim, and what they do not: contracts/decisions, "The haiku".

Source: ORCH-3051, OC-TEST-7007, OC-TEST-7064 … 7066.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Final

from harness.engines.direct import Counters
from harness.haiku.facts import Facts
from harness.outcome import Outcome
from harness.sampler_profile import PROFILES
from harness.stand_in import why_stand_in

FASTER_MAX = 4.0  # than the engine asked directly: other work may slow either down, nothing makes a decode that fast
LATER_MS = 250.0  # a server's own figure may begin before our clock does, but not by more than a request takes
NATS = 0.5  # 87 tokens decoded and read again, 4-bit weights on a CPU: 0.2 at most; made-up ones are nats off


@dataclass(frozen=True, slots=True)
class Verdict:
    """One check's result."""

    check: str
    outcome: Outcome
    text: str


Finding = tuple[Outcome, str]


def answered(facts: Facts) -> Finding:
    """Every task ended with an answer, and its frames are as many as it says."""
    for answer in facts.answers:
        if answer.trouble or not answer.tokens_out:
            return Outcome.FAIL, answer.trouble or "an answer without a token"
        if answer.frames != answer.tokens_out:
            return Outcome.FAIL, f"{answer.frames} token frames, and end says {answer.tokens_out}"
    return Outcome.PASS, f"{len(facts.answers)} answers, {sum(a.tokens_out for a in facts.answers)} tokens"


def real_engine(facts: Facts) -> Finding:
    """Server and engine say that they are no stand-in, and name the same version."""
    why = why_stand_in(facts.capabilities)
    if why is not None or facts.engine_version.startswith("mock-"):
        return Outcome.FAIL, f"a stand-in: {why or facts.engine_version}"
    for answer in facts.answers:
        if (told := answer.started.get("engine_version")) != facts.engine_version:
            return Outcome.FAIL, f"started names {told}, and the engine calls itself {facts.engine_version}"
    return Outcome.PASS, facts.engine_version


def language_model(facts: Facts) -> Finding:
    """The engine tells log-probabilities, and the same ones when it reads its own answer again."""
    if facts.trouble or not facts.reread:
        return Outcome.FAIL, facts.trouble or "the engine told no log-probabilities"
    for token in facts.reread:
        if token.read is None or abs(token.read - token.decoded) > NATS:
            return Outcome.FAIL, f"a token decoded with log-probability {token.decoded:.3f} reads as {token.read}"
    farthest = max(abs((t.read or 0.0) - t.decoded) for t in facts.reread)
    return Outcome.PASS, f"{len(facts.reread)} tokens read again, at most {farthest:.4f} nats apart"


def depends_on_the_nonce(facts: Facts) -> Finding:
    """With one seed, another nonce gives another text: nothing is canned or replayed."""
    for number, (one, text) in enumerate(zip(facts.asked, (a.text for a in facts.answers), strict=True)):
        for other, also in zip(facts.asked[:number], (a.text for a in facts.answers), strict=False):
            if text == also:
                return Outcome.FAIL, f"the nonces {other.nonce} and {one.nonce} got the same answer: {text[:60]!r}"
    return Outcome.PASS, f"{len(facts.asked)} nonces, {len(facts.asked)} different answers"


def engines_own_words(facts: Facts) -> Finding:
    """Each answer is, token by token, what the engine itself answers to this prompt and seed."""
    if not facts.own:
        return Outcome.NOT_TESTABLE, facts.trouble or "the engine was not asked"
    for asked, answer, own in zip(facts.asked, facts.answers, facts.own, strict=True):
        if (profile := answer.started.get("sampler_profile_version")) not in PROFILES:
            return Outcome.NOT_TESTABLE, f"sampler profile {profile} is not known here: {', '.join(PROFILES)} is"
        if (answer.text, answer.tokens_out) != (own.text, own.tokens_out):
            text = f"nonce {asked.nonce}, seed {asked.seed}: streamed {answer.text!r}, and the engine says {own.text!r}"
            return Outcome.FAIL, text
        if answer.tokens_in is not None and answer.tokens_in != own.tokens_in:
            return Outcome.FAIL, f"{answer.tokens_in} tokens of prompt, and the engine counts {own.tokens_in}"
    return Outcome.PASS, f"{len(facts.own)} answers equal the engine's own"


def real_time(facts: Facts) -> Finding:
    """No answer came faster than a decode can be, and none took longer than it was awaited."""
    if not facts.own_ms:
        return Outcome.NOT_TESTABLE, facts.trouble or "the engine was not asked"
    for answer, own_ms in zip(facts.answers, facts.own_ms, strict=True):
        least_ms = own_ms / FASTER_MAX
        if min(answer.observed_ms, answer.decode_ms) < least_ms:
            shown = f"{answer.tokens_out} tokens in {answer.observed_ms:.0f} ms, decode_ms {answer.decode_ms:.0f}"
            return Outcome.FAIL, f"{shown}: the engine itself takes {own_ms:.0f} ms"
        if answer.decode_ms > answer.observed_ms + LATER_MS:
            return Outcome.FAIL, f"decode_ms is {answer.decode_ms:.0f}, and all took {answer.observed_ms:.0f} ms"
    rates = [f"{1000 * a.tokens_out / max(a.decode_ms, 1):.0f}" for a in facts.answers]
    return Outcome.PASS, f"{', '.join(rates)} tokens/s"


def engine_counted(facts: Facts) -> Finding:
    """The engine's own counters moved by what was streamed."""
    return _moved(facts, facts.engine_moved, "the engine's counters")


def server_counted(facts: Facts) -> Finding:
    """The server's counters moved by what was streamed."""
    if facts.server_moved is not None and facts.tasks_started != len(facts.answers):
        return Outcome.FAIL, f"tasks_started_total moved by {facts.tasks_started}, and {len(facts.answers)} tasks ran"
    return _moved(facts, facts.server_moved, "tokens_in_total and tokens_out_total")


def _moved(facts: Facts, moved: Counters | None, whose: str) -> Finding:
    if moved is None:
        return Outcome.NOT_TESTABLE, facts.trouble or f"{whose} could not be read"
    tokens_in = sum((a.tokens_in if a.tokens_in is not None else 0) for a in facts.answers)
    expected = Counters(tokens_in, sum(a.tokens_out for a in facts.answers))
    if moved == expected:
        return Outcome.PASS, f"{whose} moved by {moved.tokens_in} in and {moved.tokens_out} out, as streamed"
    text = f"{whose} moved by {moved}, and streamed were {expected}"
    is_more = moved.tokens_in >= expected.tokens_in and moved.tokens_out >= expected.tokens_out
    return (Outcome.NOT_TESTABLE, f"{text}: somebody else uses it") if is_more else (Outcome.FAIL, text)


CHECKS: Final[Mapping[str, tuple[Callable[[Facts], Finding], tuple[str, ...]]]] = {
    "answered": (answered, ("ORCH-3051",)),
    "real-engine": (real_engine, ("ORCH-3051", "OC-TEST-7007")),
    "language-model": (language_model, ("OC-TEST-7066",)),
    "depends-on-the-nonce": (depends_on_the_nonce, ("OC-TEST-7065",)),
    "engines-own-words": (engines_own_words, ("ORCH-3051", "OC-TEST-7064")),
    "real-time": (real_time, ("OC-TEST-7065",)),
    "engine-counted": (engine_counted, ("OC-TEST-7065",)),
    "server-counted": (server_counted, ("OC-TEST-7065",)),
}
"""Each check, and what it proves."""


def prove(facts: Facts) -> Iterable[Verdict]:
    """The verdict of every check."""
    for name, (check, _) in CHECKS.items():
        yield Verdict(name, *check(facts))
