"""Whole repositories of safetensors, from a stand-in of the hub that huggingface_hub itself accepts.

Its small files lie with it and its large ones on another host, as they do there.
"""

import hashlib
import json
import struct
from collections.abc import Callable
from pathlib import Path

import pytest
from huggingface_hub import constants

from reference_server.policy.tests.far_end import Answer, Asked, FarEnd
from reference_server.provision import cache, download, model_store, room
from reference_server.provision.errors import (
    DigestError,
    FormatError,
    NoRoomError,
    OutboundRefusedError,
    ProvisionError,
)
from reference_server.provision.reference import parse
from reference_server.provision.tests.test_model_sources import bring, ranged
from reference_server.provision.wanted import Wanted

COMMIT, NEXT = "a" * 40, "b" * 40
TEXT = "hf:org/repo"
SHORT = {"size": 1, "sha256": "abc", "pointerSize": 1}
PICKLE = b"\x80\x04weights"


def tensors(fill: bytes, size: int = 9_000) -> bytes:
    """A safetensors file with one tensor."""
    head = json.dumps({"w": {"dtype": "U8", "shape": [size], "data_offsets": [0, size]}}).encode()
    return struct.pack("<Q", len(head)) + head + fill * size


ONE, TWO = tensors(b"1"), tensors(b"2")
INDEX = json.dumps({"weight_map": {"a": "model-1.safetensors", "b": "model-2.safetensors"}}).encode()
FILES = {
    "config.json": b'{"model_type": "llama"}',
    "tokenizer.json": b'{"version": "1.0"}',
    "1_Pooling/config.json": b"{}",
    "model.safetensors.index.json": INDEX,
    "model-1.safetensors": ONE,
    "model-2.safetensors": TWO,
}
BESIDE = {
    "README.md": b"# repo",
    "modeling.py": b"import os",
    "pytorch_model.bin": PICKLE,
    "consolidated.safetensors": tensors(b"3"),
    "onnx/model.onnx": b"onnx",
}


class Hub:
    """The repository `org/repo` at one commit, of which each file can be had in another way."""

    def __init__(self, far: FarEnd, *, cdn: str = "cdn.example") -> None:
        self._far, self._cdn = far, cdn
        self.put({**FILES, **BESIDE})

    def put(self, files: dict[str, bytes], *, commit: str = COMMIT, told: dict[str, object] | None = None) -> None:
        """Serve these.

        Args:
            told: instead of what is right about every file, as `size` and `blobId`.
        """
        listed = []
        for name, data in files.items():
            at = f"/org/repo/resolve/{commit}/{name}"
            entry = {"rfilename": name, "size": len(data), "blobId": _git(data)}
            if name.endswith((".safetensors", ".bin")):
                sha = hashlib.sha256(data).hexdigest()
                entry["lfs"] = {"size": len(data), "sha256": sha, "pointerSize": 1}
                self._far.answers[at] = (302, {"Location": f"http://{self._cdn}:{self._far.port}/blob/{sha}"}, b"")
                self._far.answers[f"/blob/{sha}"] = ranged(data)
            else:
                self._far.answers[at] = ranged(data)
            listed.append({**entry, **(told or {})})
        body = {"id": "org/repo", "sha": commit, "siblings": listed}
        self._far.answers["/api/models/org/repo"] = (200, {}, json.dumps(body).encode())

    def serve(self, data: bytes, answer: Answer | Callable[[Asked], Answer]) -> None:
        """In place of a large file."""
        self._far.answers[f"/blob/{hashlib.sha256(data).hexdigest()}"] = answer


def _git(data: bytes) -> str:
    return hashlib.sha1(b"blob %d\0" % len(data) + data, usedforsecurity=False).hexdigest()


@pytest.fixture
def hub(far: FarEnd, monkeypatch: pytest.MonkeyPatch) -> Hub:
    """The hub, signed in to."""
    monkeypatch.setenv("HF_ENDPOINT", f"http://hub.example:{far.port}")
    monkeypatch.setenv("HF_TOKEN", "hf_secret")
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    return Hub(far)


def files_of(folder: str | Path) -> dict[str, bytes]:
    paths = [path for path in Path(folder).rglob("*") if path.is_file()]
    return {str(path.relative_to(folder)): path.read_bytes() for path in paths}


def downloads() -> list[Path]:
    return list(cache.partial_models().iterdir())


@pytest.mark.req("ORCH-3043")
def test_what_an_engine_needs_comes_as_one_folder_and_only_once(far: FarEnd, hub: Hub) -> None:
    made = bring(TEXT)
    asked = len(far.asked)

    assert FILES == files_of(made["path"])
    assert "safetensors" == made["format"]
    assert made == bring(TEXT)
    assert asked == len(far.asked)
    assert [] == downloads()
    assert [made] == cache.installed("models")


@pytest.mark.req("ORCH-3043", "OC-CONFIG-6026")
def test_its_digest_is_that_of_what_sha256sum_prints(hub: Hub) -> None:
    made = bring(TEXT)

    printed = "".join(f"{hashlib.sha256(data).hexdigest()}  {name}\n" for name, data in sorted(FILES.items()))
    assert "sha256:" + hashlib.sha256(printed.encode()).hexdigest() == made["digest"]
    assert made == bring(TEXT, digest=made["digest"])


@pytest.mark.req("ORCH-3043")
def test_what_git_keeps_is_named_as_git_names_it(tmp_path: Path) -> None:
    (tmp_path / "hello").write_bytes(b"hello\n")

    assert "sha1_git:ce013625030ba8dba906f756967f9e9ca394464a" == download.sha1_git_of(tmp_path / "hello")


@pytest.mark.req("ORCH-3043", "OC-POLICY-4043")
def test_its_token_goes_to_the_hub_and_nowhere_else(far: FarEnd, hub: Hub) -> None:
    bring(TEXT)

    signed = {"authorization" in asked.headers for asked in far.asked if asked.path.startswith("/blob/")}
    assert {False} == signed
    home = [asked.headers for asked in far.asked if not asked.path.startswith("/blob/")]
    assert {"Bearer hf_secret"} == {headers["authorization"] for headers in home}


@pytest.mark.req("ORCH-3043", "ORCH-3204")
def test_a_download_that_broke_off_is_gone_on_with_and_what_was_here_is_not_asked_for_again(
    far: FarEnd, hub: Hub
) -> None:
    hub.serve(TWO, (200, {"Content-Length": str(len(TWO))}, TWO[:5_000]))
    with pytest.raises(ProvisionError, match="broke off"):
        bring(TEXT)
    assert [] == room.kept()
    hub.serve(TWO, ranged(TWO))
    far.asked.clear()

    assert FILES == files_of(bring(TEXT)["path"])
    blobs = [asked for asked in far.asked if asked.path.startswith("/blob/")]
    assert ["bytes=5000-"] == [asked.headers.get("range") for asked in blobs]


@pytest.mark.req("ORCH-3043")
def test_what_had_come_of_another_commit_is_not_mixed_with_this_one(hub: Hub) -> None:
    hub.serve(TWO, (200, {"Content-Length": str(len(TWO))}, TWO[:5_000]))
    with pytest.raises(ProvisionError, match="broke off"):
        bring(TEXT)
    newer = {**FILES, "model-2.safetensors": tensors(b"4"), "tokenizer.json": b"{}"}
    hub.put(newer, commit=NEXT)

    assert newer == files_of(bring(TEXT)["path"])
    assert [] == downloads()


@pytest.mark.req("ORCH-3043", "ORCH-3093", "ORCH-3042")
@pytest.mark.parametrize("name", ["tokenizer.json", "model-2.safetensors"], ids=["sha1-of-git", "sha256"])
def test_a_file_that_is_not_what_the_hub_vouches_for_goes_into_quarantine_and_the_others_stay(
    far: FarEnd, hub: Hub, name: str
) -> None:
    wrong = bytes(len(FILES[name]))
    if name.endswith(".json"):
        far.answers[f"/org/repo/resolve/{COMMIT}/{name}"] = ranged(wrong)
    else:
        hub.serve(FILES[name], ranged(wrong))

    with pytest.raises(DigestError, match="quarantine"):
        bring(TEXT)
    assert [] == room.kept()
    assert wrong in files_of(cache.root() / "quarantine").values()
    hub.put({**FILES, **BESIDE})
    assert FILES == files_of(bring(TEXT)["path"])


@pytest.mark.req("ORCH-3043", "ORCH-3093")
def test_another_digest_of_the_whole_than_expected_goes_into_quarantine(hub: Hub) -> None:
    with pytest.raises(DigestError, match="expected sha256:000"):
        bring(TEXT, digest="sha256:" + "0" * 64)
    assert [] == room.kept()
    assert ONE in files_of(cache.root() / "quarantine").values()


@pytest.mark.req("ORCH-3043", "ORCH-3094")
@pytest.mark.parametrize(
    ("files", "says"),
    [
        pytest.param({"model-1.safetensors": struct.pack("<Q", 2**40) + b"{}"}, "no sane safetensors", id="header"),
        pytest.param({"model.safetensors.index.json": b"[]"}, "no sane index", id="index"),
        pytest.param({"model.safetensors.index.json": b"[" * 100_000}, "no sane index", id="deep-index"),
        pytest.param(
            {"model.safetensors.index.json": b'{"weight_map": {"a": "../../model-1.safetensors"}}'},
            "which is not there",
            id="index-out-of-it",
        ),
        pytest.param({"tokenizer.model": PICKLE}, "pickle", id="pickle-in-disguise"),
    ],
)
def test_what_no_engine_should_load_is_refused(hub: Hub, files: dict[str, bytes], says: str) -> None:
    hub.put({**FILES, **files})

    with pytest.raises(FormatError, match=says):
        bring(TEXT)
    assert [] == room.kept()


@pytest.mark.req("ORCH-3043", "ORCH-3094")
def test_weights_that_are_pickles_only_are_refused_unless_allowed(hub: Hub) -> None:
    files = {"config.json": b"{}", "pytorch_model.bin": PICKLE}
    hub.put({**files, "modeling.py": b"import os"})

    with pytest.raises(FormatError, match=r"pickles only .*models\.allow_pickle"):
        bring(TEXT)
    assert [] == room.kept()
    made = bring(TEXT, allow_pickle=True)
    assert files == files_of(made["path"])
    assert "pickle" == made["format"]


@pytest.mark.req("ORCH-3043")
@pytest.mark.parametrize(
    ("files", "says"),
    [
        pytest.param({"adapter.safetensors": ONE}, "has no config.json", id="no-configuration"),
        pytest.param({"config.json": b"{}"}, "nothing to load", id="no-weights"),
        pytest.param({**FILES, "../../escaped.json": b"{}"}, "no name for a file", id="out-of-its-folder"),
        pytest.param({**FILES, "/etc/escaped.json": b"{}"}, "no name for a file", id="absolute"),
        pytest.param({**FILES, "config.json/x.json": b"{}"}, "cannot be written", id="a-file-as-a-folder"),
    ],
)
def test_a_repository_that_is_no_model_is_a_plain_error(hub: Hub, files: dict[str, bytes], says: str) -> None:
    hub.put(files)

    with pytest.raises(ProvisionError, match=says) as caught:
        bring(TEXT)
    assert "\n" not in str(caught.value)
    assert [] == room.kept()
    assert [] == list(cache.root().parent.rglob("escaped.json"))


@pytest.mark.req("ORCH-3043", "ORCH-3093")
@pytest.mark.parametrize(
    "told",
    [
        pytest.param({"blobId": None, "lfs": None}, id="no-digest"),
        pytest.param({"lfs": SHORT}, id="short-digest"),
        pytest.param({"size": "9", "lfs": None}, id="size-as-text"),
        pytest.param({"size": -1, "lfs": None}, id="size-below-nothing"),
        pytest.param({"lfs": [1]}, id="list"),
    ],
)
def test_what_the_hub_says_is_not_taken_on_trust(hub: Hub, told: dict[str, object]) -> None:
    hub.put(FILES, told=told)

    with pytest.raises(ProvisionError) as caught:
        bring(TEXT)
    assert "\n" not in str(caught.value)
    assert [] == room.kept()


@pytest.mark.req("ORCH-3042", "ORCH-3043")
def test_it_counts_as_one_model_and_is_never_evicted_while_it_is_held(far: FarEnd, hub: Hub) -> None:
    size = sum(map(len, FILES.values()))
    with pytest.raises(NoRoomError, match="no room"):
        bring(TEXT, quota_bytes=size - 1)
    assert [] == downloads()
    made = bring(TEXT, quota_bytes=size)
    (kept,) = room.kept()
    assert size < kept.size_bytes < size + 1_000
    held = room.hold(Path(made["path"]).parent)
    far.answers["/m.safetensors"] = ranged(ONE)
    other = f"http://models.example:{far.port}/m.safetensors"
    wanted = {"digest": "sha256:" + hashlib.sha256(ONE).hexdigest(), "quota_bytes": size}

    with pytest.raises(NoRoomError):
        bring(other, **wanted)
    assert FILES == files_of(made["path"])
    held.close()
    bring(other, **wanted)
    assert not Path(made["path"]).exists()


@pytest.mark.req("ORCH-3043", "ORCH-3204")
def test_a_full_disk_in_the_middle_is_a_plain_error_and_leaves_nothing(hub: Hub) -> None:
    """The kernel's own full device in place of the second file: each write to it is a real ENOSPC."""
    part = Wanted(reference=parse(TEXT)).parts / COMMIT
    part.mkdir(parents=True)
    (part / "model-2.safetensors").symlink_to("/dev/full")

    with pytest.raises(NoRoomError, match="the disk is full"):
        bring(TEXT)
    assert [] == room.kept()
    assert [] == downloads()


@pytest.mark.req("ORCH-3043", "ORCH-3042")
def test_what_had_come_stays_when_the_disk_is_short_before_the_next_byte(
    far: FarEnd, hub: Hub, monkeypatch: pytest.MonkeyPatch
) -> None:
    hub.serve(TWO, (200, {"Content-Length": str(len(TWO))}, TWO[:5_000]))
    with pytest.raises(ProvisionError, match="broke off"):
        bring(TEXT)
    hub.serve(TWO, ranged(TWO))
    with monkeypatch.context() as short:
        short.setattr(room, "DISK_SPARE_BYTES", 10**18)
        with pytest.raises(NoRoomError, match="free the disk"):
            bring(TEXT)
    far.asked.clear()

    assert FILES == files_of(bring(TEXT)["path"])
    assert ["bytes=5000-"] == [asked.headers["range"] for asked in far.asked if asked.path.startswith("/blob/")]


@pytest.mark.req("ORCH-3043", "OC-POLICY-4043")
def test_the_hub_cannot_lead_a_part_of_it_into_the_host(hub: Hub) -> None:
    hub.serve(TWO, (302, {"Location": "http://169.254.169.254/latest/meta-data/"}, b""))

    with pytest.raises(OutboundRefusedError, match=r"169\.254\.169\.254"):
        bring(TEXT)
    assert [] == room.kept()


@pytest.mark.req("ORCH-3043")
def test_a_manifest_of_its_own_is_none_of_ours(hub: Hub) -> None:
    lure = json.dumps({"id": "x", "path": "/etc/passwd", "digest": "sha256:0"}).encode()
    hub.put({**FILES, "manifest.json": lure})

    made = bring(TEXT)

    assert [made] == cache.installed("models")
    assert made == model_store.find(parse(TEXT))
    assert lure == files_of(made["path"])["manifest.json"]


@pytest.mark.req("ORCH-3043", "ORCH-3203")
def test_what_a_crash_left_behind_is_not_part_of_it(hub: Hub) -> None:
    part = Wanted(reference=parse(TEXT)).parts / COMMIT
    part.mkdir(parents=True)
    (part / "left.json").write_bytes(b"{}")

    assert FILES == files_of(bring(TEXT)["path"])
