"""The `binary` mode: by URL and sha256, from archives that cannot escape; and what must not get through."""

import gzip
import io
import json
import signal
import stat
import struct
import subprocess
import sys
import tarfile
import threading
import zipfile
from pathlib import Path

import pytest

from reference_server.policy.tests.far_end import Asked, FarEnd
from reference_server.provision import cache, provisioner
from reference_server.provision.binary import Prebuilt
from reference_server.provision.errors import (
    DigestError,
    NoRoomError,
    OutboundRefusedError,
    ProvisionError,
)
from reference_server.provision.tests.test_provision import digest, leftovers

PROGRAM = b"#!/bin/sh\necho here\n"
IGNORING = "import os, signal, sys; signal.signal(signal.SIGINT, signal.SIG_IGN); os.execv(sys.argv[1], sys.argv[1:])"
BY_A_SCRIPT = (sys.executable, "-c", IGNORING)  # as a shell starts what is to run in the background


def at(far: FarEnd, path: str) -> str:
    return f"http://127.0.0.1:{far.port}{path}"


def prebuilt(far: FarEnd, data: bytes, executable: str | None = None) -> Prebuilt:
    far.answers["/engine"] = (200, {}, data)
    return Prebuilt(version="b1", url=at(far, "/engine"), sha256=digest(data), executable=executable)


def tar(name: str, data: bytes = PROGRAM, *, link: str | None = None, kind: bytes = tarfile.SYMTYPE) -> bytes:
    """A tar archive of one member, and of the program that is asked for.

    Args:
        kind: of the member, where there is a `link`.
    """
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as made:
        for entry in dict.fromkeys((name, "bin/llama-server")):
            info = tarfile.TarInfo(entry)
            info.size = len(data)
            if entry == name and link is not None:
                info.type, info.linkname, info.size = kind, link, 0
            made.addfile(info, io.BytesIO(data))
    return buffer.getvalue()


def tar_with_header(length: int) -> bytes:
    """A small tar archive, of which one member has a PAX header of this length."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz", format=tarfile.PAX_FORMAT) as made:
        info = tarfile.TarInfo("bin/llama-server")
        info.pax_headers = {"comment": "x" * length}
        made.addfile(info)
    return buffer.getvalue()


def lying_zip() -> bytes:
    """It says of a member of 10 MB that it has 100 bytes."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as made:
        made.writestr("bin/llama-server", bytes(10_000_000))
    return buffer.getvalue().replace(struct.pack("<I", 10_000_000), struct.pack("<I", 100))


def zipped(name: str, *, mode: int = stat.S_IFREG | 0o644, data: bytes = PROGRAM) -> bytes:
    """A zip archive of the program that is asked for, and of one member after it."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as made:
        made.writestr("bin/llama-server", PROGRAM)
        if name != "bin/llama-server":
            info = zipfile.ZipInfo(name)
            info.external_attr = mode << 16
            made.writestr(info, data)
    return buffer.getvalue()


@pytest.mark.req("OC-CONFIG-6025", "ORCH-3201")
@pytest.mark.parametrize(
    ("data", "executable"),
    [
        pytest.param(PROGRAM, None, id="file"),
        pytest.param(tar("bin/llama-server"), "bin/llama-server", id="tar"),
        pytest.param(zipped("bin/llama-server"), "bin/llama-server", id="zip"),
    ],
)
def test_a_binary_is_fetched_verified_and_runs(far: FarEnd, data: bytes, executable: str | None) -> None:
    recipe = prebuilt(far, data, executable)

    made = provisioner.install(recipe)
    asked = len(far.asked)
    assert made == provisioner.install(recipe)
    assert asked == len(far.asked)
    assert "here\n" == subprocess.run([made["binary"]], capture_output=True, text=True, check=True).stdout
    assert (digest(PROGRAM), "binary") == (made["digest"], made["mode"])


@pytest.mark.req("OC-CONFIG-6025", "ORCH-3204")
def test_a_binary_of_another_digest_is_refused_and_deleted(far: FarEnd) -> None:
    recipe = prebuilt(far, PROGRAM)
    far.answers["/engine"] = (200, {}, PROGRAM + b"tampered")

    with pytest.raises(DigestError, match="expected sha256:"):
        provisioner.install(recipe)
    assert [] == leftovers()
    assert [] == list((cache.root() / "downloads").iterdir())


ESCAPES = {
    "tar-parent": tar("../escaped"),
    "tar-link-out": tar("bin/link", link="/etc/passwd"),
    "tar-link-parent": tar("bin/link", link="../../../../etc/passwd"),
    "tar-link-by-a-link": tar("~", link="a/../.."),
    "tar-hard-link-out": tar("bin/link", link="../../etc/passwd", kind=tarfile.LNKTYPE),
    "tar-hard-link-absolute": tar("bin/link", link="/etc/passwd", kind=tarfile.LNKTYPE),
    "tar-device": tar("bin/device", link="", kind=tarfile.CHRTYPE),
    "tar-pipe": tar("bin/pipe", link="", kind=tarfile.FIFOTYPE),
    "tar-header-bomb": tar_with_header(5_000_000),
    "zip-parent": zipped("../escaped"),
    "zip-inner-parent": zipped("bin/../../escaped"),
    "zip-absolute": zipped("/tmp/escaped"),  # noqa: S108 - what an attacker would write
    "zip-backslash": zipped("..\\escaped"),
    "zip-link": zipped("link", mode=stat.S_IFLNK | 0o777, data=b"/etc/passwd"),
    "zip-device": zipped("device", mode=stat.S_IFCHR | 0o666),
    "zip-that-lies": lying_zip(),
    "no-archive": b"neither tar nor zip",
    "broken-zip": zipped("bin/llama-server")[:-30],
    "broken-tar": gzip.compress(b"x" * 600),
}


@pytest.mark.req("ORCH-3204", "OC-CONFIG-6025")
@pytest.mark.parametrize("archive", ESCAPES.values(), ids=ESCAPES)
def test_an_archive_that_would_escape_or_is_none_is_refused_and_leaves_nothing(
    far: FarEnd, tmp_path: Path, archive: bytes
) -> None:
    with pytest.raises(ProvisionError, match=r"refused|cannot be unpacked|neither a tar nor a zip"):
        provisioner.install(prebuilt(far, archive, "bin/llama-server"))
    assert [] == leftovers()
    assert [] == list(tmp_path.rglob("escaped"))


@pytest.mark.req("ORCH-3204")
@pytest.mark.parametrize("data", [tar("bin/other"), zipped("bin/other")], ids=["tar", "zip"])
@pytest.mark.parametrize(
    ("bound", "says"),
    [
        pytest.param("binary.UNPACKED_BYTES_MAX", "more than 1 bytes", id="bytes"),
        pytest.param("archives.MEMBERS_MAX", "more than 1 files", id="files"),
    ],
)
def test_an_archive_that_is_a_bomb_is_refused_and_leaves_nothing(
    far: FarEnd, monkeypatch: pytest.MonkeyPatch, data: bytes, bound: str, says: str
) -> None:
    monkeypatch.setattr(f"reference_server.provision.{bound}", 1)

    with pytest.raises(ProvisionError, match=says):
        provisioner.install(prebuilt(far, data, "bin/llama-server"))
    assert [] == leftovers()


@pytest.mark.req("ORCH-3204")
def test_a_member_with_an_absolute_name_ends_up_inside(far: FarEnd, tmp_path: Path) -> None:
    """The filter of Python's tarfile makes the name relative."""
    escaped = tmp_path / "escaped"
    made = provisioner.install(prebuilt(far, tar(str(escaped)), "bin/llama-server"))

    assert not escaped.exists()
    assert (Path(made["binary"]).parent.parent / str(escaped)[1:]).is_file()


@pytest.mark.req("ORCH-3204")
def test_an_archive_without_the_program_that_is_named_is_refused(far: FarEnd) -> None:
    with pytest.raises(ProvisionError, match="has no program"):
        provisioner.install(prebuilt(far, tar("bin/llama-server"), "bin/other"))
    with pytest.raises(ProvisionError, match=r"has no program|cannot be unpacked"):
        provisioner.install(prebuilt(far, tar("bin/other", link="other"), "bin/other"))  # a link to itself
    assert [] == leftovers()


@pytest.mark.req("ORCH-3204")
def test_a_truncated_download_is_a_plain_error_and_the_next_try_goes_on(far: FarEnd) -> None:
    data = PROGRAM + b"x" * 50_000
    recipe = prebuilt(far, data)
    far.answers["/engine"] = (200, {"Content-Length": str(len(data))}, data[:20_000])
    with pytest.raises(ProvisionError, match="broke off"):
        provisioner.install(recipe)
    assert [] == leftovers()

    def rest(asked: Asked) -> tuple[int, dict[str, str], bytes]:
        return 206, {}, data[int(asked.headers["range"][6:-1]) :]

    far.answers["/engine"] = rest
    assert digest(data) == provisioner.install(recipe)["digest"]
    assert "bytes=20000-" == far.asked[-1].headers["range"]


@pytest.mark.req("OC-POLICY-4043", "ORCH-3204")
def test_a_redirect_is_followed_and_one_to_the_metadata_service_is_refused(far: FarEnd) -> None:
    recipe = prebuilt(far, PROGRAM)
    far.answers["/engine"], far.answers["/moved"] = (302, {"Location": "/moved"}, b""), (200, {}, PROGRAM)
    assert provisioner.install(recipe)
    far.answers["/engine"] = (302, {"Location": "http://169.254.169.254/latest/meta-data/"}, b"")

    with pytest.raises(OutboundRefusedError, match=r"169\.254\.169\.254"):
        provisioner.install(Prebuilt(version="b2", url=at(far, "/engine"), sha256=digest(b"other")))
    assert 2 == len(leftovers())  # the first install's program and manifest


@pytest.mark.req("ORCH-3202", "ORCH-3204")
def test_a_disk_without_room_is_said_before_anything_is_fetched(far: FarEnd, monkeypatch: pytest.MonkeyPatch) -> None:
    recipe = prebuilt(far, PROGRAM)
    monkeypatch.setattr("reference_server.provision.binary.DISK_BYTES", 10**18)

    with pytest.raises(NoRoomError, match="free the disk"):
        provisioner.install(recipe)
    assert [] == far.asked


@pytest.mark.req("ORCH-3204", "ORCH-3042")
def test_a_disk_that_fills_up_is_a_plain_error_and_leaves_nothing(far: FarEnd) -> None:
    """The kernel's own full device in place of the partial file: each write to it is a real ENOSPC."""
    recipe = prebuilt(far, PROGRAM)
    part = cache.root() / "downloads" / f"{digest(PROGRAM).removeprefix('sha256:')[:12]}-engine.part"
    part.parent.mkdir(parents=True)
    part.symlink_to("/dev/full")

    with pytest.raises(NoRoomError, match="No space left on device"):
        provisioner.install(recipe)
    assert [] == leftovers()
    assert [] == list((cache.root() / "downloads").iterdir())
    assert provisioner.install(recipe)  # and once there is room again, it is brought


@pytest.mark.req("ORCH-3204")
@pytest.mark.parametrize(
    ("number", "started_by"),
    [
        pytest.param(signal.SIGINT, (), id="ctrl-c"),
        pytest.param(signal.SIGINT, BY_A_SCRIPT, id="background-job-of-a-script"),
        pytest.param(signal.SIGTERM, (), id="terminated"),
    ],
)
def test_an_interrupt_leaves_no_half_install_and_the_next_try_ends_it(
    far: FarEnd, tmp_path: Path, number: signal.Signals, started_by: tuple[str, ...]
) -> None:
    is_asked, may_answer = threading.Event(), threading.Event()

    def slow(_: Asked) -> tuple[int, dict[str, str], bytes]:
        is_asked.set()
        may_answer.wait(60)
        return 200, {}, PROGRAM

    far.answers["/engine"] = slow
    mode = {"mode": "binary", "url": at(far, "/engine"), "sha256": digest(PROGRAM)}
    pool = {"provisioning": mode, "replicas": [{"kind": "supervised", "model_file": "/m"}]}
    outbound = {"schemes": ["http"], "private": ["127.0.0.1"]}
    (tmp_path / "c.yaml").write_text(json.dumps({"experimental_cpu": True, "pools": [pool], "outbound": outbound}))
    command = [sys.executable, "-m", "reference_server", "engines", "--config", str(tmp_path / "c.yaml"), "install"]

    with subprocess.Popen([*started_by, *command], stderr=subprocess.PIPE, text=True) as first:
        assert is_asked.wait(60)
        first.send_signal(number)
        may_answer.set()
        _, said = first.communicate(timeout=60)
    assert (130, True) == (first.returncode, "the cache holds no half install" in said), said
    assert [] == leftovers()
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    assert 0 == done.returncode, done.stderr
    assert ["files"] == [path.name for path in (cache.root() / "engines").glob("*/*/*") if path.is_dir()]


@pytest.mark.req("ORCH-3203")
def test_two_installs_at_once_fetch_once(far: FarEnd) -> None:
    recipe, may_answer = prebuilt(far, PROGRAM), threading.Event()
    first_asked = threading.Event()

    def slow(_: Asked) -> tuple[int, dict[str, str], bytes]:
        first_asked.set()
        may_answer.wait(30)
        return 200, {}, PROGRAM

    far.answers["/engine"] = slow
    made: list[dict[str, str]] = []
    threads = [threading.Thread(target=lambda: made.append(provisioner.install(recipe))) for _ in range(2)]
    for thread in threads:
        thread.start()
    assert first_asked.wait(30)
    may_answer.set()
    for thread in threads:
        thread.join(30)

    assert 1 == len(far.asked)
    assert made[0] == made[1]
