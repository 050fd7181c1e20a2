"""References and headers: what is none is refused with a plain error, whatever it is."""

import json
import struct
from pathlib import Path

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from reference_server.provision.errors import BadReferenceError, FormatError
from reference_server.provision.model_header import check
from reference_server.provision.reference import parse, scheme_of

SHA = "sha256:" + "0" * 64


@pytest.mark.req("ORCH-3090")
@pytest.mark.parametrize(
    ("text", "parts", "name"),
    [
        ("hf:org/repo/q4/m.gguf", {"repo": "org/repo", "path": "q4/m.gguf"}, "m.gguf"),
        ("hf:org/repo", {"repo": "org/repo"}, ""),
        ("hf:org/repo/m.gguf@v1", {"repo": "org/repo", "path": "m.gguf", "revision": "v1"}, "m.gguf"),
        ("s3://bucket/dir/m.gguf", {"bucket": "bucket", "path": "dir/m.gguf"}, "m.gguf"),
        ("oci://host:5000/a/b:v1", {"host": "host:5000", "name": "a/b", "tag": "v1"}, ""),
        (f"oci://host/a@{SHA}", {"host": "host", "name": "a", "digest": SHA}, ""),
        ("https://host/a/m.gguf?x=1", {"url": "https://host/a/m.gguf?x=1", "path": "/a/m.gguf"}, "m.gguf"),
        ("pypi:p/p-1.whl#d/m.gguf", {"project": "p", "file": "p-1.whl", "path": "d/m.gguf"}, "m.gguf"),
        ("file:/models/m.gguf", {"path": "/models/m.gguf"}, "m.gguf"),
        ("file:m.gguf", {"path": "m.gguf"}, "m.gguf"),
    ],
)
def test_each_scheme_is_read(text: str, parts: dict[str, str], name: str) -> None:
    assert (parts, name) == (parse(text).parts, parse(text).name)


@pytest.mark.req("ORCH-3090")
@pytest.mark.parametrize(
    "text",
    [
        *(
            "",
            "model",
            "ftp://host/m",
            "hf:",
            "hf:repo",
            "hf:org/repo/../../etc",
            "hf:org/repo/%2e%2e/x/m",
            "hf:../x/m",
        ),
        *("s3://b/k", "s3:bucket/key", "s3://bucket/", "s3://bucket/a/../../k", "oci://host", "oci://host/A:v1"),
        *(
            "https://",
            "https://host",
            "https://user:key@host/m",
            "https://host/a/../m",
            "https://[bad/m",
            "https://h:99999/m",
        ),
        *("pypi:p/p.whl", "pypi:p/p.exe#m", "pypi:p/p.whl#../../m", "hf:org/repo/a b", "hf:org/repo/" + "x" * 3000),
    ],
)
def test_what_is_no_reference_is_refused(text: str) -> None:
    with pytest.raises(BadReferenceError):
        parse(text)


@pytest.mark.req("ORCH-3090")
@given(
    st.one_of(
        st.text(max_size=80),
        st.sampled_from(["hf:", "s3://", "oci://", "https://", "pypi:"]).flatmap(
            lambda scheme: st.text(max_size=60).map(lambda rest: scheme + rest)
        ),
    )
)
def test_any_text_is_a_reference_with_a_safe_key_or_is_refused(text: str) -> None:
    try:
        found = parse(text)
    except BadReferenceError:
        return
    assert found.key.replace("-", "").isalnum()
    assert found.key.isascii()
    if found.scheme != "file":
        assert found.name not in {".", ".."}
    assert scheme_of(text) == found.scheme


def gguf(*, version: int = 3, tensors: bytes = b"", pairs: bytes = b"", counts: tuple[int, int] | None = None) -> bytes:
    tensor_count, pair_count = counts or (0, 0)
    return b"GGUF" + struct.pack("<IQQ", version, tensor_count, pair_count) + pairs + tensors


def text(value: str) -> bytes:
    return struct.pack("<Q", len(value)) + value.encode()


KEY = text("general.name")
SANE = gguf(
    counts=(1, 3),
    pairs=KEY
    + struct.pack("<I", 8)
    + text("tiny")
    + text("list")
    + struct.pack("<IIQ", 9, 4, 2)
    + bytes(8)
    + text("words")
    + struct.pack("<IIQ", 9, 8, 2)
    + text("a")
    + text("b"),
    tensors=text("w") + struct.pack("<IQQIQ", 2, 4, 4, 0, 0),
) + bytes(64)


@pytest.mark.req("ORCH-3042", "ORCH-3094")
def test_sane_headers_are_told_apart(tmp_path: Path) -> None:
    head = json.dumps({"w": {"dtype": "F32", "shape": [4], "data_offsets": [0, 16]}, "__metadata__": {}}).encode()
    files = {
        "m.gguf": (SANE, "gguf"),
        "m.safetensors": (len(head).to_bytes(8, "little") + head + bytes(16), "safetensors"),
        "config.json": (b"{}", "other"),
    }
    for name, (data, kind) in files.items():
        (tmp_path / name).write_bytes(data)
        assert kind == check(tmp_path / name, name=name)


@pytest.mark.req("ORCH-3042", "ORCH-3094")
@pytest.mark.parametrize(
    ("name", "data"),
    [
        pytest.param("m.gguf", gguf(version=1), id="version"),
        pytest.param("m.gguf", gguf(counts=(2**40, 0)), id="tensors"),
        pytest.param("m.gguf", gguf(counts=(0, 2**63)), id="pairs"),
        pytest.param("m.gguf", gguf(counts=(0, 1), pairs=struct.pack("<Q", 2**62)), id="a-text-of-2^62"),
        pytest.param("m.gguf", gguf(counts=(0, 1), pairs=KEY + struct.pack("<IIQ", 9, 4, 2**60)), id="an-array"),
        pytest.param("m.gguf", gguf(counts=(0, 1), pairs=KEY + struct.pack("<I", 77)), id="type"),
        pytest.param("m.gguf", gguf(counts=(0, 1), pairs=KEY + struct.pack("<IIQ", 9, 9, 1) * 9), id="nested-arrays"),
        pytest.param("m.gguf", gguf(counts=(1, 0), tensors=text("w") + struct.pack("<I", 9)), id="dimensions"),
        pytest.param(
            "m.gguf", gguf(counts=(1, 0), tensors=text("w") + struct.pack("<IQQIQ", 2, 2**32, 2**32, 0, 0)), id="size"
        ),
        pytest.param(
            "m.gguf", gguf(counts=(1, 0), tensors=text("w") + struct.pack("<IQIQ", 1, 1, 0, 2**60)), id="offset"
        ),
        pytest.param("m.gguf", SANE[:60], id="cut"),
        pytest.param("m.safetensors", b"\xff" * 8, id="length"),
        pytest.param("m.safetensors", b"\x02" + bytes(7) + b"[]", id="no-object"),
        pytest.param("m.safetensors", b"\x02" + bytes(7) + b"{{", id="no-json"),
        pytest.param("m.pt", b"PK\x03\x04", id="pickle-in-a-zip"),
    ],
)
def test_a_header_that_is_not_sane_is_refused(tmp_path: Path, name: str, data: bytes) -> None:
    (tmp_path / name).write_bytes(data)

    with pytest.raises(FormatError):
        check(tmp_path / name, name=name)


@pytest.mark.req("ORCH-3042", "ORCH-3094")
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    data=st.binary(max_size=400), at=st.integers(0, len(SANE)), name=st.sampled_from(["m.gguf", "m.safetensors", "m"])
)
@example(data=b"[" * 200, at=8, name="m.safetensors")
def test_any_bytes_are_judged_and_never_a_defect(tmp_path: Path, data: bytes, at: int, name: str) -> None:
    for mutated in (data, SANE[:at] + data + SANE[at + len(data) :]):
        (tmp_path / name).write_bytes(mutated)
        try:
            kind = check(tmp_path / name, name=name)
        except FormatError:
            continue
        assert kind in {"gguf", "safetensors", "other"}
