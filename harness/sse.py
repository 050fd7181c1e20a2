r"""Server-sent events: bytes in, events and comments out, at any chunking.

Written from the WHATWG HTML standard, section "Server-sent events", and from nothing else: no server of ours shares it,
so that one misreading cannot hide another.

    id: 7\nevent: token\ndata: {"t":"Hel","i":4}\n\n    →    Event(event="token", data='{"t":"Hel","i":4}', id="7")

Differences from a browser: comments are given out too (a keep-alive is one), bytes that are not UTF-8 raise instead of
becoming U+FFFD, and `retry` is dropped: nobody here reconnects by himself.

Source: ORCH-2002, OC-CTRL-2020.
"""

import codecs
import re
from collections.abc import Iterator
from dataclasses import dataclass

BOM = "\ufeff"
LINE_END = re.compile(r"\r\n|\n|\r(?=.)", re.DOTALL)


@dataclass(frozen=True, slots=True)
class Event:
    """One dispatched event.

    Attributes:
        event: its type; `message` when the stream named none.
        data: its `data` lines, joined by line feeds.
        id: the last id that the stream set, this event's own included; None before the first.
    """

    event: str
    data: str
    id: str | None


@dataclass(frozen=True, slots=True)
class Comment:
    """A line that began with a colon, without it."""

    text: str


class SseParser:
    """Takes a stream's bytes piece by piece. What is left without a blank line at the end is no event."""

    def __init__(self) -> None:
        self._decoder = codecs.getincrementaldecoder("utf-8")("strict")
        self._text = ""
        self._at_start = True
        self._event = ""
        self._data: list[str] = []
        self._id: str | None = None

    def feed(self, data: bytes) -> Iterator[Event | Comment]:
        """Yield everything that these bytes complete. Must be exhausted before the next call.

        Raises:
            UnicodeDecodeError: the stream is not UTF-8.
        """
        text = self._decoder.decode(data)
        if self._at_start and text:
            text = text.removeprefix(BOM)
            self._at_start = False
        self._text += text
        for line in self._lines():
            yield from self._take(line)

    @property
    def has_rest(self) -> bool:
        """Bytes came after the last blank line: the stream was cut in the middle of an event."""
        return bool(self._text or self._data or self._event or self._decoder.getstate()[0])

    def _lines(self) -> Iterator[str]:
        """Whole lines. A CR at the very end waits: an LF may follow it."""
        start = 0
        for end in LINE_END.finditer(self._text):
            yield self._text[start : end.start()]
            start = end.end()
        self._text = self._text[start:]

    def _take(self, line: str) -> Iterator[Event | Comment]:
        if not line:
            if self._data:
                yield Event(event=self._event or "message", data="\n".join(self._data), id=self._id)
            self._event, self._data = "", []
            return
        name, colon, value = line.partition(":")
        value = value.removeprefix(" ")
        if colon and not name:
            yield Comment(value)
        elif name == "event":
            self._event = value
        elif name == "data":
            self._data.append(value)
        elif name == "id" and "\0" not in value:
            self._id = value
