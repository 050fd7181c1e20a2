"""Stale and left-over generated files."""

from collections.abc import Mapping
from pathlib import Path

import pytest

from tools import generated

MODEL = Path("contracts/models/data.py")


def generate(root: Path) -> Mapping[Path, str]:
    """One file, from one source."""
    return {MODEL: (root / "source").read_text()}


@pytest.fixture
def root(tmp_path: Path) -> Path:
    (tmp_path / "source").write_text("a = 1\n")
    (tmp_path / MODEL.parent).mkdir(parents=True)
    (tmp_path / MODEL.parent / "__init__.py").touch()
    generated.write(tmp_path, [generate])
    return tmp_path


@pytest.mark.req("OC-CONFIG-6010")
def test_a_second_run_changes_nothing(root: Path) -> None:
    before = (root / MODEL).stat().st_mtime_ns

    assert [] == generated.write(root, [generate])
    assert before == (root / MODEL).stat().st_mtime_ns


@pytest.mark.req("OC-TEST-7006")
def test_a_changed_source_makes_its_file_stale_and_shows_how(root: Path) -> None:
    (root / "source").write_text("a = 2\n")

    ((path, difference),) = generated.stale(root, [generate])

    assert MODEL == path
    assert "-a = 1\n+a = 2" in difference


@pytest.mark.req("OC-TEST-7006")
@pytest.mark.parametrize("harm", ["edited", "missing"])
def test_a_file_that_is_not_what_was_generated_is_stale(root: Path, harm: str) -> None:
    if harm == "edited":
        (root / MODEL).write_text("a = 1  # by hand\n")
    else:
        (root / MODEL).unlink()

    assert [MODEL] == [path for path, _ in generated.stale(root, [generate])]
    assert [MODEL] == generated.write(root, [generate])
    assert [] == list(generated.stale(root, [generate]))


@pytest.mark.req("OC-TEST-7006")
def test_a_leftover_of_a_former_source_is_stale_and_goes(root: Path) -> None:
    leftover = MODEL.with_name("former.py")
    (root / leftover).write_text("b = 1\n")

    assert [leftover] == generated.write(root, [generate])
    assert not (root / leftover).exists()
