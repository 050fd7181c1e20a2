"""Mentions of requirement ids outside the specifications."""

from pathlib import Path

import pytest

from tools import references


@pytest.mark.req("OC-TEST-7004", "OC-TEST-7006")
@pytest.mark.parametrize("name", ["domain/queue.py", "openapi/data.yaml", "area/a.feature", "README.md"])
def test_an_id_that_nothing_states_is_found(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    path.parent.mkdir(exist_ok=True)
    path.write_text("first line\nORCH-2001 and ORCH-9999\n")

    assert [f"{name}:2: ORCH-9999 is stated by no specification"] == references.unknown(tmp_path, ["ORCH-2001"])


def test_tests_may_plant_wrong_ids(tmp_path: Path) -> None:
    (tmp_path / "tests").mkdir()
    (tmp_path / "tests" / "test_a.py").write_text("ORCH-9999\n")

    assert [] == references.unknown(tmp_path, ["ORCH-2001"])
