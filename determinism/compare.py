"""Streams held against each other, byte for byte. Pure.

Streams of one path are equal when every piece and the end are; across paths the bytes of the text and the number of
tokens count, because an engine may cut its pieces otherwise than the orchestrator hands them on. For an engine that
joins tokens these and the end count, and not where the pieces are cut.

Source: ORCH-3045, ORCH-3047, OC-TEST-7001, OC-TEST-7067, OC-CORE-1032.
"""

from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from determinism.recording import Identity, Recording
from determinism.seeds import Case
from harness.engines.joining import JOINS_TOKENS

SEEDS_PER_PROMPT_MIN = 2  # with one seed for a prompt nothing can be said about seeds


@dataclass(frozen=True, slots=True)
class Divergence:
    """Where two streams part.

    Attributes:
        index: of the first token that differs, from 0.
        offset: of the character that this token begins with; all before it is equal.
        expected, actual: the piece there; None = the stream had ended.
    """

    index: int
    offset: int
    expected: str | None
    actual: str | None


@dataclass(frozen=True, slots=True)
class Mismatch:
    """Two streams that had to be equal.

    Attributes:
        expected: what most streams of this case are equal to; the first of them.
        actual: one that is not.
    """

    expected: Recording
    actual: Recording
    at: Divergence

    @property
    def case(self) -> Case:
        """The input of both."""
        return self.expected.case


def divergence(expected: Recording, actual: Recording) -> Divergence | None:
    """Where these two part; None where they are equal."""
    is_same_path = expected.under.path == actual.under.path
    is_joined = {expected.identity.engine, actual.identity.engine} <= JOINS_TOKENS
    is_equal = (
        (expected.text, expected.tokens_out) == (actual.text, actual.tokens_out)
        and (not is_same_path or expected.finish == actual.finish)
        and (not is_same_path or is_joined or expected.pieces == actual.pieces)
    )
    if is_equal:
        return None
    finer = max(expected.pieces, actual.pieces, key=len)
    is_cut_alike = is_same_path or _common(expected.pieces, actual.pieces) > 0
    index = (
        _common(expected.pieces, actual.pieces)
        if is_cut_alike
        else _piece_at(finer, _common(expected.text, actual.text))
    )
    offset = len("".join(finer[:index]))
    return Divergence(index, offset, _at(expected.pieces, index), _at(actual.pieces, index))


def compare(recordings: Iterable[Recording]) -> list[Mismatch]:
    """Every stream that differs from what most streams of its case and identity are; ties go to the first that came."""
    groups: dict[tuple[Case, Identity], list[Recording]] = defaultdict(list)
    for recording in recordings:
        groups[recording.case, recording.identity].append(recording)
    found = []
    for group in groups.values():
        expected = most_frequent(group)
        found += [Mismatch(expected, other, at) for other in group if (at := divergence(expected, other)) is not None]
    return found


def identities(recordings: Iterable[Recording]) -> set[Identity]:
    """All that were seen; more than one in a set of replicas breaks OC-CORE-1031, and is never compared."""
    return {recording.identity for recording in recordings}


def prompts_that_ignore_the_seed(recordings: Iterable[Recording]) -> set[int]:
    """The prompts for which every seed gave one text: equality proves nothing there."""
    seeds: dict[int, set[int]] = defaultdict(set)
    texts: dict[int, set[str]] = defaultdict(set)
    for recording in recordings:
        seeds[recording.case.prompt].add(recording.case.seed)
        texts[recording.case.prompt].add(recording.text)
    return {p for p, found in seeds.items() if len(found) >= SEEDS_PER_PROMPT_MIN and len(texts[p]) == 1}


def uncovered(recordings: Iterable[Recording], cases: Iterable[Case], replicas: Iterable[str]) -> set[tuple[int, str]]:
    """Which seeds no stream of which replica is there for."""
    seen = {(recording.case.seed, recording.under.replica) for recording in recordings}
    wanted = set(replicas)
    return {(case.seed, replica) for case in cases for replica in wanted} - seen


def most_frequent(group: Sequence[Recording]) -> Recording:
    """The first of those that most have the text of."""
    counts = Counter(recording.text for recording in group)
    return max(group, key=lambda recording: counts[recording.text])


def _common(left: Sequence[str], right: Sequence[str]) -> int:
    """How many items both begin with."""
    pairs = zip(left, right, strict=False)
    return next((n for n, (a, b) in enumerate(pairs) if a != b), min(len(left), len(right)))


def _piece_at(pieces: Sequence[str], offset: int) -> int:
    """Which piece has the character at `offset`."""
    end = 0
    for index, piece in enumerate(pieces):
        end += len(piece)
        if offset < end:
            return index
    return len(pieces)


def _at(pieces: Sequence[str], index: int) -> str | None:
    return pieces[index] if index < len(pieces) else None
