"""What a run on a real engine is written down as, and how the README shows it."""

import json
from pathlib import Path

import pytest

from tools import compat

REAL = "harness.engines.tests.test_real_engine"
JUNIT = f"""<testsuites><testsuite>
<testcase classname="{REAL}" name="test_real_it_streams_x"/>
<testcase classname="{REAL}" name="test_real_a_cancel_x"><failure/></testcase>
<testcase classname="{REAL}" name="test_real_an_error_of_the_engine_x"><skipped/></testcase>
<testcase classname="{REAL}" name="test_real_capabilities_x"><properties>
  <property name="engine_version" value="9.1"/></properties></testcase>
<testcase classname="{REAL}" name="test_real_it_embeds[rerank]"><properties>
  <property name="serves" value="rerank"/></properties></testcase>
<testcase classname="features.test_features" name="a"/>
<testcase classname="features.test_features" name="b"><skipped/></testcase>
</testsuite></testsuites>"""


@pytest.mark.req("OC-TEST-7011")
def test_only_what_passed_is_verified_under_the_version_that_was_told() -> None:
    found = compat.result_of(JUNIT, "vllm")

    assert ("vllm", "9.1") == (found["engine"], found["engine_version"])
    assert ["streams", "version"] == found["verified"]
    assert ["rerank"] == found["serves"]
    assert {"passed": 1, "not_applicable": 1} == found["scenarios"]


@pytest.mark.req("OC-TEST-7011", "OC-TEST-7006")
def test_a_run_that_told_no_version_is_no_result() -> None:
    with pytest.raises(compat.NoResultError):
        compat.result_of(JUNIT.replace("engine_version", "other"), "vllm")


@pytest.mark.req("OC-TEST-7011")
def test_the_table_shows_what_is_stored(tmp_path: Path) -> None:
    (tmp_path / compat.FOLDER).mkdir(parents=True)
    found = compat.result_of(JUNIT, "triton")
    (tmp_path / compat.FOLDER / "triton.json").write_text(json.dumps(found))

    assert ["triton"] == compat.written(tmp_path)
    assert "| triton | 9.1 | streams, version | rerank | 1 passed, 1 not applicable |" in compat.table(tmp_path)
