"""What parses is thrown anything at: it gives a value or a plain error, and no archive writes outside its folder."""

import io
import os
import stat
import tarfile
import tempfile
import zipfile
from contextlib import suppress
from pathlib import Path

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from reference_server.config_provisioning import ContainerMode
from reference_server.provision import archives, container, distro
from reference_server.provision.errors import ProvisionError

STEPS = st.sampled_from(["..", ".", "", "a", "b", "/", "\\", "C:", "~", "\x00", "a\n"]) | st.text(max_size=3)
NAMES = st.lists(STEPS, min_size=1, max_size=5).map("/".join)


def zipped(name: str, target: str, mode: int) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as made:
        info = zipfile.ZipInfo("x")
        info.filename = name  # as it is: the constructor would cut it
        info.external_attr = mode << 16
        made.writestr(info, target)
    return buffer.getvalue()


def tarred(name: str, target: str, mode: int) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as made:
        for number, kind in enumerate((tarfile.SYMTYPE if stat.S_ISLNK(mode) else tarfile.REGTYPE, tarfile.REGTYPE)):
            info = tarfile.TarInfo(name if number == 0 else f"{name}/inner")  # a file behind a link
            info.type, info.linkname = kind, target
            made.addfile(info, io.BytesIO(b""))
    return buffer.getvalue()


@pytest.mark.req("ORCH-3204")
@settings(max_examples=150, deadline=None)
@given(name=NAMES, target=NAMES, mode=st.sampled_from([stat.S_IFREG, stat.S_IFLNK, stat.S_IFIFO]), is_zip=st.booleans())
def test_no_archive_writes_outside_its_folder(name: str, target: str, mode: int, is_zip: bool) -> None:
    with tempfile.TemporaryDirectory() as outside:
        folder = Path(outside) / "in" / "to"
        folder.mkdir(parents=True)
        archive = Path(outside) / "archive"
        try:
            archive.write_bytes((zipped if is_zip else tarred)(name, target, mode))
        except (ValueError, UnicodeError, OSError):
            return  # no archive can hold such a name
        with suppress(ProvisionError):
            archives.unpack(archive, folder, bytes_max=10_000)
        written = [path for path in Path(outside).rglob("*") if path not in {archive, folder, folder.parent}]
        assert all(path.is_relative_to(folder) for path in written), written
        ends = [Path(os.path.realpath(path)) for path in written if path.exists()]  # a loop leads nowhere
        assert all(path.is_relative_to(os.path.realpath(folder)) for path in ends), (name, target, mode, is_zip, ends)


@pytest.mark.req("ORCH-3202")
@settings(max_examples=100, deadline=None)
@given(
    text=st.text(max_size=60) | st.sampled_from(["ID=debian", 'ID="ubuntu"\nID_LIKE=debian', "ID_LIKE='rhel fedora'"])
)
def test_any_os_release_names_a_family_that_has_a_package_manager_or_none(text: str) -> None:
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "os-release").write_text(text, encoding="utf-8", errors="replace")
        family = distro.family(Path(folder) / "os-release")
    assert family is None or family in distro.INSTALL


@pytest.mark.req("OC-CONFIG-6020", "OC-CONFIG-6023")
@settings(max_examples=200, deadline=None)
@given(text=st.text(st.characters(codec="ascii", exclude_categories=["Cc"]), max_size=20))
def test_any_image_is_refused_or_has_a_registry_and_no_option_in_its_name(text: str) -> None:
    image = f"{text}@sha256:{'a' * 64}"
    try:
        msgspec.convert({"mode": "container", "image": image}, ContainerMode)
    except msgspec.ValidationError:
        return
    whole = container.whole_name(image)
    host, port = container.registry_of(whole)
    assert not whole.startswith("-")
    assert host
    assert port
