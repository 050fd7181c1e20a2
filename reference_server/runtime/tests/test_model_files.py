import asyncio
import hashlib
import json
import threading
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from reference_server.provision import model_store
from reference_server.provision.reference import parse
from reference_server.runtime import model_files
from reference_server.runtime.model_files import ModelFiles, is_cached, remove_cached


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A model folder with one file, beside a file that is none of ours."""
    monkeypatch.setenv("LLAMA_ORCH_CACHE_DIR", str(tmp_path / "cache"))
    (tmp_path / "models").mkdir()
    (tmp_path / "models" / "a.gguf").write_bytes(b"weights")
    (tmp_path / "secret").write_bytes(b"secret")
    (tmp_path / "models" / "link").symlink_to(tmp_path / "secret")
    return tmp_path / "models"


@pytest.mark.req("ORCH-3090", "OC-CONFIG-6007")
def test_a_file_is_found_by_its_absolute_and_by_its_relative_name(folder: Path) -> None:
    files = ModelFiles([str(folder)])

    assert folder / "a.gguf" == files.find("m", f"file:{folder}/a.gguf")
    assert folder / "a.gguf" == files.find("m", "file:a.gguf")
    assert folder / "a.gguf" == files.find("m", "file:sub/../a.gguf")


@pytest.mark.req("OC-CONFIG-6007")
@pytest.mark.parametrize(
    "name", ["../secret", "%2e%2e/secret", "{parent}/secret", "link", "a\0b", "x" * 5000, "", ".", "~/.ssh/id"]
)
def test_nothing_outside_of_the_folders_is_read(folder: Path, name: str) -> None:
    assert ModelFiles([str(folder)]).find("m", "file:" + name.format(parent=folder.parent)) is None


@pytest.mark.req("OC-CONFIG-6007")
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    parts=st.lists(
        st.sampled_from(["..", ".", "", "secret", "models", "link", "a.gguf", "%2e%2e", "%2f", "/"]), max_size=6
    )
)
def test_whatever_is_found_lies_in_a_folder(folder: Path, parts: list[str]) -> None:
    found = ModelFiles([str(folder)]).find("m", "file:" + "/".join(parts))

    assert found is None or found == folder / "a.gguf"


@pytest.mark.req("ORCH-3062")
def test_the_digest_is_that_of_the_bytes(folder: Path) -> None:
    digest = asyncio.run(ModelFiles([]).digest(folder / "a.gguf", patience_s=10))

    assert "sha256:" + hashlib.sha256(b"weights").hexdigest() == digest


@pytest.mark.req("ORCH-3062")
def test_a_file_that_takes_long_is_read_once_and_asked_for_again(monkeypatch: pytest.MonkeyPatch) -> None:
    may_end, reads = threading.Event(), []

    def slow(path: str) -> str:
        reads.append(path)
        may_end.wait(30)
        return "sha256:read"

    async def ask() -> str | None:
        files = ModelFiles([])
        for _ in range(2):
            with pytest.raises(TimeoutError):
                await files.digest(Path("large"), patience_s=0.01)
        may_end.set()
        return await files.digest(Path("large"), patience_s=10)

    monkeypatch.setattr(model_files, "digest_of", slow)

    assert "sha256:read" == asyncio.run(ask())
    assert ["large"] == reads


@pytest.mark.req("ORCH-3062", "ORCH-3043")
def test_all_of_a_repository_that_was_fetched_is_found_as_its_folder_with_the_digest_of_the_whole(folder: Path) -> None:
    kept = model_store.folder_of(parse("hf:org/repo"))
    (kept / "repo").mkdir(parents=True)
    (kept / "repo" / "config.json").write_bytes(b"{}")
    (kept / "manifest.json").write_text(json.dumps({"path": str(kept / "repo"), "digest": "sha256:0"}))
    files, printed = ModelFiles([str(folder)]), f"{hashlib.sha256(b'{}').hexdigest()}  config.json\n"
    found = files.find("m", "hf:org/repo")

    assert kept / "repo" == found
    digest = asyncio.run(files.digest(kept / "repo", patience_s=10))
    assert "sha256:" + hashlib.sha256(printed.encode()).hexdigest() == digest


@pytest.mark.req("ORCH-3064")
def test_what_is_cached_of_a_model_is_found_and_deleted(folder: Path) -> None:
    cached = folder.parent / "cache" / "models" / "m"
    cached.mkdir(parents=True)
    (cached / "m.gguf").write_bytes(b"weights")
    (cached / "manifest.json").write_text(json.dumps({"id": "m", "path": str(cached / "m.gguf")}))

    assert cached / "m.gguf" == ModelFiles([]).find("m", None)
    remove_cached("m")
    assert not is_cached("m")
    assert ModelFiles([]).find("m", None) is None
