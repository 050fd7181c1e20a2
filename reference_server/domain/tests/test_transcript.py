"""The transcript: numbered tokens, one end, bounded."""

from itertools import chain

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reference_server.domain import transcript as module
from reference_server.domain.transcript import Transcript, TranscriptClosedError, TranscriptFullError


@pytest.mark.req("OC-CTRL-2022")
@given(reads=st.lists(st.lists(st.text(max_size=5), max_size=4), max_size=10))
def test_tokens_are_numbered_without_a_gap_over_all_reads(reads: list[list[str]]) -> None:
    subject = Transcript()

    for pieces in reads:
        subject.append_tokens(pieces)

    assert list(chain(*reads)) == subject.since(0, 1_000)
    assert list(range(len(subject))) == [subject.tokens_before(number) for number in range(len(subject))]


@pytest.mark.req("OC-CTRL-2022")
@given(reads=st.lists(st.integers(0, 3), max_size=10))
def test_frames_between_them_take_no_index_of_a_token(reads: list[int]) -> None:
    subject, expected = Transcript(), []
    for number, size in enumerate(reads):
        subject.append("metrics", {"number": number})
        subject.append_tokens(["a"] * size)
        expected += [sum(reads[:number]), *range(sum(reads[:number]), sum(reads[: number + 1]))]

    assert expected == [subject.tokens_before(number) for number in range(len(subject))]


@pytest.mark.req("OC-CORE-1054")
@given(tokens=st.integers(0, 5), start=st.integers(0, 7), limit=st.integers(1, 7))
def test_the_terminal_frame_can_be_held_back_and_nothing_else(tokens: int, start: int, limit: int) -> None:
    subject = Transcript()
    subject.append_tokens(["a"] * tokens)
    assert ["a"] * max(0, min(limit, tokens - start)) == subject.since(start, limit, hold_end=True)
    subject.append("end", {})

    assert ["a"] * max(0, min(limit, tokens - start)) == subject.since(start, limit, hold_end=True)


@pytest.mark.req("ORCH-3026")
@pytest.mark.parametrize("terminal", ["end", "error"])
def test_nothing_follows_a_terminal_frame(terminal: str) -> None:
    subject = Transcript()
    subject.append(terminal, {})

    with pytest.raises(TranscriptClosedError):
        subject.append_tokens(["late"])
    with pytest.raises(TranscriptClosedError):
        subject.append("end", {})
    assert 1 == len(subject)


@pytest.mark.req("OC-CORE-1008")
def test_a_runaway_answer_is_refused_and_nothing_of_the_read_is_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "BYTES_MAX", 10)
    subject = Transcript()
    subject.append_tokens(["12345678"])

    with pytest.raises(TranscriptFullError):
        subject.append_tokens(["a", "bcd"])
    assert 1 == subject.tokens_total
    subject.append_tokens(["a", "b"])
    assert (3, 10) == (subject.tokens_total, subject.bytes_total)


@pytest.mark.req("OC-CORE-1008", "OC-CORE-1036")
def test_a_result_is_bounded_as_tokens_are(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "BYTES_MAX", 10)
    subject = Transcript()
    subject.append_result({"n": 1}, size=4)
    with pytest.raises(TranscriptFullError):
        subject.append_result({"n": 2}, size=7)
    subject.append_result({"n": 3}, size=6)

    assert [("result", {"n": 1}), ("result", {"n": 3})] == subject.since(0, 9)
    assert (10, False) == (subject.bytes_total, subject.is_closed)
    assert 10 + 2 * module.FRAME_BYTES == subject.bytes_kept
