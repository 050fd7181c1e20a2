"""Who has to go on a disk that is short."""

import json
import shutil
from pathlib import Path
from typing import NamedTuple

import pytest

from reference_server.provision import cache, room
from reference_server.provision.errors import NoRoomError


class Usage(NamedTuple):
    """As `shutil.disk_usage` has it."""

    total: int
    used: int
    free: int


@pytest.fixture
def filled(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> dict[str, Path]:
    """A cache with 1000 bytes of each kind, on a disk that has only what is spared for logs."""
    monkeypatch.setenv(cache.CACHE_ENV, str(tmp_path))
    monkeypatch.setattr(shutil, "disk_usage", lambda _: Usage(10**9, 10**9, room.DISK_SPARE_BYTES))
    made = {
        "quarantined": tmp_path / "quarantine" / "q" / "q.part.quarantined",
        "idle": cache.partial_models() / "idle.part",
        "idle-repository": cache.partial_models() / "repository.parts" / "commit" / "w.safetensors",
        "under-way": cache.partial_models() / "busy.part",
        "own": cache.partial_models() / "own.part",
        "model": tmp_path / "models" / "m" / "m.gguf",
    }
    for path in made.values():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(bytes(1_000))
    (made["model"].parent / "manifest.json").write_text(json.dumps({"path": str(made["model"])}))
    return made


def left(filled: dict[str, Path]) -> list[str]:
    return [name for name, path in filled.items() if path.exists()]


@pytest.mark.req("ORCH-3042")
@pytest.mark.parametrize(
    ("needed", "stays"),
    [
        pytest.param(0, ["quarantined", "idle", "idle-repository", "under-way", "own", "model"], id="nothing"),
        pytest.param(1_000, ["idle", "idle-repository", "under-way", "own", "model"], id="quarantine-first"),
        pytest.param(3_000, ["under-way", "own", "model"], id="then-what-broke-off"),
        pytest.param(3_001, ["under-way", "own"], id="then-models"),
    ],
)
def test_leftovers_go_before_models_and_what_is_under_way_never(
    filled: dict[str, Path], needed: int, stays: list[str]
) -> None:
    with cache.locked("model-busy", waiting=lambda _: None):
        room.make_on_disk(needed, sparing=cache.root() / "models" / "own")

    assert stays == left(filled)
    assert [] == list((cache.root() / "locks").iterdir())


@pytest.mark.req("ORCH-3042")
def test_nothing_goes_where_all_of_it_would_not_do(filled: dict[str, Path]) -> None:
    with pytest.raises(NoRoomError, match="free the disk"):
        room.make_on_disk(10**6, sparing=cache.root() / "models" / "own")
    assert list(filled) == left(filled)


@pytest.mark.req("ORCH-3042")
def test_a_quota_is_kept_without_a_look_at_leftovers(filled: dict[str, Path]) -> None:
    room.make(1, 500, sparing=cache.root() / "models" / "own")

    assert [name for name in filled if name != "model"] == left(filled)
