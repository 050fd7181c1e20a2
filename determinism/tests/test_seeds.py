"""The seeds are many, different, fit every engine, and are the same for ever."""

import hashlib

import pytest

from determinism.prompts import PROMPTS
from determinism.seeds import COUNT, case_of, cases

# Of the first 64 cases. A new figure here means that streams recorded before cannot be compared any more.
FINGERPRINT = "61fdaf6271215453"


@pytest.mark.req("OC-TEST-7003")
def test_there_are_64_different_seeds_and_they_never_change() -> None:
    listed = "\n".join(f"{case.seed} {case.text}" for case in cases())

    assert len({case.seed for case in cases()}) == COUNT >= 64
    assert FINGERPRINT == hashlib.sha256(listed.encode()).hexdigest()[:16]


@pytest.mark.req("OC-TEST-7003")
def test_a_longer_list_begins_with_the_shorter_one() -> None:
    assert cases(8) == cases(64)[:8] == cases(1000)[:8]


def test_every_engine_takes_every_seed() -> None:
    assert all(0 < case.seed < 2**31 for case in cases(1000))


@pytest.mark.req("OC-TEST-7006")
def test_every_prompt_has_several_seeds_to_tell_apart() -> None:
    counts = [sum(case.prompt == number for case in cases()) for number in range(len(PROMPTS))]

    assert min(counts) >= 8


def test_a_seed_of_a_report_comes_with_its_prompt_again() -> None:
    assert cases()[13] == case_of(cases()[13].seed)
    assert 0 == case_of(5).prompt
