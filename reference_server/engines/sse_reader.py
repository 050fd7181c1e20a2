"""Reads server-sent events as engines send them: bytes in, the `data` of whole events out.

One read may hold many events, or half of one, or half of a character; lines end in LF, CRLF or CR; comments and unknown
fields are legal; several `data` lines of one event are joined by a line feed. Written from the WHATWG HTML standard.
"""

from dataclasses import dataclass, field

from reference_server.engines.base import EngineFaultError

EVENT_BYTES_MAX = 1024 * 1024  # a frame of an engine is some hundred bytes; its last one, with settings, some thousand

CR = ord("\r")  # `in` first takes bytes for a number, in vain, which costs more than its search


@dataclass(slots=True)
class SseReader:
    """Incremental: feed it whatever came."""

    _rest: bytes = b""
    _data: list[bytes] = field(default_factory=list)
    _size: int = 0
    _after_cr: bool = False

    def feed(self, chunk: bytes) -> list[bytes]:
        """The data of every event that this chunk completes.

        Raises:
            EngineFaultError: an event outgrew `EVENT_BYTES_MAX`.
        """
        if not (self._rest or self._data or self._after_cr) and (plain := _plain(chunk)) is not None:
            return plain
        if self._after_cr and chunk.startswith(b"\n"):
            chunk = chunk[1:]
        if chunk:
            self._after_cr = chunk.endswith(b"\r")
        text = self._rest + chunk
        if b"\r" in text:
            text = text.replace(b"\r\n", b"\n").replace(b"\r", b"\n")
        *lines, self._rest = text.split(b"\n")
        events = []
        for line in lines:
            if line:
                self._line(line)
            elif self._data:
                events.append(b"\n".join(self._data))
                self._data.clear()
                self._size = 0
        if len(self._rest) + self._size > EVENT_BYTES_MAX:
            raise EngineFaultError(f"an event of the stream is larger than {EVENT_BYTES_MAX} bytes")
        return events

    @property
    def is_inside_event(self) -> bool:
        """Something was fed that no empty line has ended yet."""
        return bool(self._rest or self._data)

    def _line(self, line: bytes) -> None:
        name, _, value = line.partition(b":")
        if name == b"data":
            self._data.append(value.removeprefix(b" "))
            self._size += len(value)


def _plain(chunk: bytes) -> list[bytes] | None:
    """The data of whole events of one `data` line each, as most reads have them; None where a closer look is due."""
    if not (chunk.startswith(b"data: ") and chunk.endswith(b"\n\n")) or CR in chunk:
        return None
    if chunk.find(b"\n") == len(chunk) - 2:
        return [chunk[6:-2]]
    events = chunk[6:-2].split(b"\n\ndata: ")
    return events if chunk.count(b"\n") == 2 * len(events) else None
