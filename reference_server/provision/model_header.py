"""Looks at the first bytes of a model before an engine does: engines trust the counts that they find there.

GGUF (ggml's docs/gguf.md): magic, version, counts, then key-values and tensor infos, whose sizes must fit the file.
safetensors: eight bytes of length, then JSON that says where each tensor lies. Pickles run what they hold.

Source: ORCH-3042, ORCH-3094.
"""

import json
import struct
from pathlib import Path
from typing import Any, BinaryIO

from reference_server.provision.errors import FormatError

HEADER_BYTES_MAX = 100 * 1024 * 1024  # safetensors' own limit; GGUF heads hold a vocabulary of some MB
STRING_BYTES_MAX = 16 * 1024 * 1024
ITEMS_MAX = 4_000_000  # vocabularies are below 300,000
TENSORS_MAX = 65_536
DIMENSIONS_MAX = 4  # GGML_MAX_DIMS
DEPTH_MAX = 2
VERSIONS = (2, 3)
_SCALAR_BYTES = {0: 1, 1: 1, 2: 2, 3: 2, 4: 4, 5: 4, 6: 4, 7: 1, 10: 8, 11: 8, 12: 8}
_STRING, _ARRAY = 8, 9
_PICKLE_STARTS = (b"\x80\x02", b"\x80\x03", b"\x80\x04", b"\x80\x05", b"PK\x03\x04")  # torch saves a zip of pickles


def check(path: Path, *, name: str, allow_pickle: bool = False) -> str:
    """Which format a file is in: `gguf`, `safetensors`, `pickle` or `other` (a configuration, a tokenizer).

    Raises:
        FormatError: it says that it is a model and its header is not sane, or it is a pickle.
    """
    with path.open("rb") as file:
        start = file.read(4)
        if start == b"GGUF" or name.lower().endswith(".gguf"):
            _Gguf(file, path.stat().st_size, name).check(start)
            return "gguf"
        if name.lower().endswith(".safetensors"):
            _check_safetensors(file, path.stat().st_size, name)
            return "safetensors"
    if start.startswith(_PICKLE_STARTS):
        if not allow_pickle:
            raise FormatError(f"{name} is a pickle, which runs code when it is loaded; `models.allow_pickle` allows it")
        return "pickle"
    return "other"


class _Gguf:
    def __init__(self, file: BinaryIO, size: int, name: str) -> None:
        self._file, self._size, self._name = file, size, name

    def check(self, start: bytes) -> None:
        if start != b"GGUF":
            raise self._wrong("it does not begin with GGUF")
        (version,) = self._take("<I")
        if version not in VERSIONS:
            raise self._wrong(f"version {version}; known: {VERSIONS}")
        tensors, pairs = self._take("<QQ")
        if tensors > TENSORS_MAX or pairs > ITEMS_MAX:
            raise self._wrong(f"{tensors} tensors and {pairs} key-values")
        for _ in range(pairs):
            self._skip_string()
            self._skip_value(*self._take("<I"), depth=0)
        furthest = max((self._tensor() for _ in range(tensors)), default=0)
        if furthest > self._size:
            raise self._wrong(f"a tensor begins at byte {furthest}, and the file has {self._size}")

    def _tensor(self) -> int:
        self._skip_string()
        (dimensions,) = self._take("<I")
        if dimensions > DIMENSIONS_MAX:
            raise self._wrong(f"a tensor of {dimensions} dimensions")
        elements = 1
        for size in self._take(f"<{dimensions}Q"):
            elements *= size
        if elements > self._size * 8:  # no type takes less than a bit for an element
            raise self._wrong("a tensor with more elements than the file has bits")
        _, offset = self._take("<IQ")
        return int(offset)

    def _skip_value(self, kind: int, *, depth: int) -> None:
        if kind in _SCALAR_BYTES:
            self._skip(_SCALAR_BYTES[kind])
        elif kind == _STRING:
            self._skip_string()
        elif kind == _ARRAY and depth < DEPTH_MAX:
            item, count = self._take("<IQ")
            if count > ITEMS_MAX:
                raise self._wrong(f"an array of {count}")
            if item in _SCALAR_BYTES:
                self._skip(_SCALAR_BYTES[item] * count)
                return
            for _ in range(count):
                self._skip_value(item, depth=depth + 1)
        else:
            raise self._wrong(f"a value of type {kind}")

    def _skip_string(self) -> None:
        (length,) = self._take("<Q")
        if length > STRING_BYTES_MAX:
            raise self._wrong(f"a text of {length} bytes")
        self._skip(length)

    def _skip(self, count: int) -> None:
        if self._file.seek(count, 1) > self._size:
            raise self._wrong("its header goes on after its end")

    def _take(self, shape: str) -> tuple[int, ...]:
        wanted = struct.calcsize(shape)
        got = self._file.read(wanted)
        if len(got) < wanted:
            raise self._wrong("its header goes on after its end")
        return struct.unpack(shape, got)

    def _wrong(self, why: str) -> FormatError:
        return FormatError(f"{self._name} is no sane GGUF file: {why}")


def _check_safetensors(file: BinaryIO, size: int, name: str) -> None:
    file.seek(0)
    head = file.read(8)
    length = int.from_bytes(head, "little") if len(head) == 8 else size
    if length > min(HEADER_BYTES_MAX, size - 8):
        raise FormatError(f"{name} is no sane safetensors file: a header of {length} bytes in a file of {size}")
    try:
        tensors = json.loads(file.read(length))
        ends = [_tensor_end(entry) for key, entry in tensors.items() if key != "__metadata__"]
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise FormatError(
            f"{name} is no sane safetensors file: its header is not read: {type(error).__name__}"
        ) from None
    if max(ends, default=0) > size - 8 - length:
        raise FormatError(f"{name} is no sane safetensors file: a tensor ends after the file does")


def _tensor_end(entry: dict[str, Any]) -> int:
    begin, end = entry["data_offsets"]
    if not (isinstance(begin, int) and isinstance(end, int) and 0 <= begin <= end):
        raise ValueError("offsets that are none")
    return end
