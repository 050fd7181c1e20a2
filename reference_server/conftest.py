"""What all tests of the server share."""

import os
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hypothesis import settings

from reference_server.provision import cache
from reference_server.provision.tests.programs import CMAKE, Programs

settings.register_profile(
    "by-content", parent=settings.default, deadline=None
)  # its clock counts the machine's load too
settings.load_profile("by-content")


@pytest.fixture
def anyio_backend() -> str:
    """The server runs on asyncio alone."""
    return "asyncio"


@pytest.fixture(autouse=True)
def own_cache(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A cache of the test's own, for it and for what it starts; only tests on real engines see the user's."""
    if request.node.get_closest_marker("real_engine"):
        yield cache.root()
        return
    with pytest.MonkeyPatch.context() as patch:
        folder = tmp_path_factory.mktemp("cache", numbered=True)
        patch.setenv(cache.CACHE_ENV, str(folder))
        yield folder


@pytest.fixture
def programs(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Programs:
    """Recording programs before the real ones."""
    made = Programs(tmp_path / "bin")
    monkeypatch.setenv("PATH", str(made.folder), prepend=os.pathsep)
    return made


@pytest.fixture
def repository(tmp_path: Path) -> Callable[..., str]:
    """A git repository on this disk that builds a program; each call commits, and gives the commit."""
    folder = tmp_path / "repository"
    folder.mkdir()
    own = {"GIT_CONFIG_GLOBAL": os.devnull, "GIT_CONFIG_NOSYSTEM": "1"}
    who = {f"GIT_{role}_{what}": "a@b.example" for role in ("AUTHOR", "COMMITTER") for what in ("NAME", "EMAIL")}

    def git(*arguments: str) -> str:
        command = ["git", "-C", str(folder), *arguments]
        return subprocess.run(
            command, env={**os.environ, **own, **who}, capture_output=True, text=True, check=True
        ).stdout

    def commit(code: str = "int main(void){return 0;}") -> str:
        (folder / "CMakeLists.txt").write_text(CMAKE)
        (folder / "main.c").write_text(code)
        git("add", ".")
        git("commit", "--quiet", "--message", "x")
        git("tag", "--force", "v1")
        return git("rev-parse", "HEAD").strip()

    git("init", "--quiet")
    return commit
