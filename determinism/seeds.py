"""The seeds of the suite, the same in every run and every version, and what each is decoded with.

A seed follows from its number alone, and lies in the range that every engine takes: above 0 (TGI) and below 2**31. The
first seeds of a longer list are those of a shorter one.

Source: OC-TEST-7003.
"""

import hashlib
from dataclasses import dataclass

from determinism.prompts import PROMPTS

COUNT = 64  # OC-TEST-7003: at least so many
RANGE = 2**31 - 2


@dataclass(frozen=True, slots=True)
class Case:
    """One input.

    Attributes:
        prompt: by its place in `PROMPTS`.
    """

    seed: int
    prompt: int

    @property
    def text(self) -> str:
        """The prompt's text."""
        return PROMPTS[self.prompt]


def seed(number: int) -> int:
    """The seed with this number, 1 … 2**31-2."""
    digest = hashlib.blake2b(f"llama-orch determinism {number}".encode(), digest_size=8).digest()
    return 1 + int.from_bytes(digest) % RANGE


def cases(count: int = COUNT) -> tuple[Case, ...]:
    """The first cases; every prompt comes with every eighth seed, so that each prompt has seeds to tell apart."""
    return tuple(Case(seed(number), number % len(PROMPTS)) for number in range(count))


def case_of(value: int) -> Case:
    """The case of a seed that a report named; a seed that is none of ours is decoded with the first prompt."""
    return next((case for case in cases(COUNT * 16) if case.seed == value), Case(value, 0))
