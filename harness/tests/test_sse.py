"""The SSE parser against the WHATWG text, at every chunking."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.sse import Comment, Event, SseParser


def parse(*chunks: bytes) -> list[Event | Comment]:
    parser = SseParser()
    return [item for chunk in chunks for item in parser.feed(chunk)]


@pytest.mark.req("ORCH-2002")
@pytest.mark.parametrize(
    ("text", "expected"),
    [
        pytest.param("data: a\n\n", [Event("message", "a", None)], id="plain"),
        pytest.param("data:a\n\n", [Event("message", "a", None)], id="no-space"),
        pytest.param("data:  a\n\n", [Event("message", " a", None)], id="one-space-only-is-dropped"),
        pytest.param("data: a\ndata: b\n\n", [Event("message", "a\nb", None)], id="two-data-lines"),
        pytest.param("data\n\n", [Event("message", "", None)], id="empty-data-line-is-data"),
        pytest.param("event: x\n\n", [], id="no-data-no-event"),
        pytest.param("event: x\n\ndata: a\n\n", [Event("message", "a", None)], id="type-does-not-leak"),
        pytest.param(
            "id: 1\ndata: a\n\ndata: b\n\n", [Event("message", "a", "1"), Event("message", "b", "1")], id="id-stays"
        ),
        pytest.param("id: 1\0\ndata: a\n\n", [Event("message", "a", None)], id="id-with-nul-is-ignored"),
        pytest.param("id\nid: 3\nid\ndata: a\n\n", [Event("message", "a", "")], id="id-can-be-emptied"),
        pytest.param("foo: 1\nretry: 5\ndata: a\n\n", [Event("message", "a", None)], id="unknown-fields"),
        pytest.param(": hi\n\n", [Comment("hi")], id="comment"),
        pytest.param(
            "data: a\n: in between\ndata: b\n\n",
            [Comment("in between"), Event("message", "a\nb", None)],
            id="comment-within",
        ),
        pytest.param(
            "data: a\r\rdata: b\r\n\r\n", [Event("message", "a", None), Event("message", "b", None)], id="cr-and-crlf"
        ),
        pytest.param("\ufeffdata: a\n\n", [Event("message", "a", None)], id="byte-order-mark"),
        pytest.param(
            "data: a\n\ndata: \ufeffb\n\n",
            [Event("message", "a", None), Event("message", "\ufeffb", None)],
            id="later-mark-is-text",
        ),
        pytest.param(
            "data: a\u2028b\x0bc\n\n", [Event("message", "a\u2028b\x0bc", None)], id="other-separators-are-text"
        ),
        pytest.param("data: cut", [], id="cut-off"),
        pytest.param("data: cut\n", [], id="cut-before-the-blank-line"),
        pytest.param('event: token\nid: 7\ndata: {"t":"é"}\n\n', [Event("token", '{"t":"é"}', "7")], id="frame"),
    ],
)
def test_text_becomes_events(text: str, expected: list[Event | Comment]) -> None:
    assert expected == parse(text.encode())


LINES = st.sampled_from(
    [
        "data: a",
        "data: é€😀",
        "data",
        "event: token",
        "id: 7",
        ": ping",
        "",
        "",
        "foo: bar",
        "\ufeffdata: x",
        "data: b:c",
    ]
)


@pytest.mark.req("ORCH-2002")
@given(lines=st.lists(st.tuples(LINES, st.sampled_from(["\n", "\r", "\r\n"])), max_size=12), chunks=st.data())
def test_chunking_changes_nothing(lines: list[tuple[str, str]], chunks: st.DataObject) -> None:
    stream = "".join(line + end for line, end in lines).encode() + b"\n"
    cuts = sorted(chunks.draw(st.lists(st.integers(0, len(stream)), max_size=8)))
    pieces = [stream[a:b] for a, b in zip([0, *cuts], [*cuts, len(stream)], strict=True)]

    assert parse(stream) == parse(*pieces)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        pytest.param(b"data: a\n\n", False, id="whole"),
        pytest.param(b"", False, id="nothing"),
        pytest.param(b"data: a\n", True, id="no-blank-line"),
        pytest.param(b"data: \xc3", True, id="half-a-character"),
        pytest.param(b"event: token\n", True, id="type-only"),
    ],
)
def test_a_cut_stream_is_seen(text: bytes, expected: bool) -> None:
    parser = SseParser()
    list(parser.feed(text))

    assert expected == parser.has_rest


def test_broken_utf8_raises() -> None:
    with pytest.raises(UnicodeDecodeError):
        parse(b"data: \xff\n\n")
