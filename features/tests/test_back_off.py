"""The wait for an engine that has no room: a server that hardly waits is found."""

import pytest

from features import test_features
from features.tests.test_faults_are_told import PLUGIN

pytest_plugins = ("pytester",)

SCENARIO = """@OC-CORE-1048
Feature: Replicas
  Scenario: one pause of four
    Given a server of its own whose engine has no room for the first 1 tasks
    When a task of 20 tokens is submitted
    And its stream is read to the end
    Then it ended well with 20 tokens
    And its first token came at least 1500 ms after it was submitted
"""

MODULE = f"""from pytest_bdd import scenarios

pytest_plugins = {test_features.pytest_plugins}

scenarios("a.feature")
"""


@pytest.mark.slow
@pytest.mark.req("OC-CORE-1048", "OC-TEST-7006")
def test_a_server_that_asks_a_full_engine_again_too_soon_is_found(pytester: pytest.Pytester) -> None:
    pytester.path.joinpath("a.feature").write_text(SCENARIO, encoding="utf-8")
    pytester.makepyfile(test_a=MODULE)

    result = pytester.runpytest_subprocess(*PLUGIN)

    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["*OC-CORE-1048*1500 ms or more*"])
