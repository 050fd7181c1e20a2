"""Faults: one module of the steps injects them all and says so, and one that does not happen shows nothing."""

import ast
import json
from importlib.resources import files
from pathlib import Path

import pytest

from features import steps, test_features
from features.steps import faults

pytest_plugins = ("pytester",)

FOLDER = Path(steps.__file__).parent
FAULTS = "faults.py"
TIDIES = "world.py"  # ends the scenario's own server after it
BREAKS = {"go_away", "leave", "reset_when_closed", "terminate", "kill", "killpg", "send_signal"}
"""What ends a connection or a process."""

SCHEMA = json.loads(files("contracts").joinpath("config", "schema.json").read_text(encoding="utf-8"))
SETTINGS = {
    name for name in SCHEMA["$defs"]["MockEngine"]["properties"] if name.endswith(("_after_tokens", "_requests"))
}

PLUGIN = ("-p", "harness.pytest_plugin", "-p", "no:cacheprovider", "--import-mode=importlib")

SCENARIOS = """@ORCH-3058
Feature: Faults
  Scenario: one that happens
    Given a server whose engine dies after 5 tokens
    When a task of 8 tokens is submitted
    And its stream is read to the end
    Then it ended with WORKER_RESET, retriable, after 5 tokens

  Scenario: a death after the last token
    Given a server whose engine dies after 50 tokens
    When a task of 8 tokens is submitted
    And its stream is read to the end
    Then it ended well with 8 tokens

  Scenario: one of two replicas that were to fail
    Given a server with two replicas that both fail after 5 tokens
    When a task of 8 tokens is submitted
    And its stream is read to the end
    Then it ended with REPLICA_EXHAUSTED, retriable, after 5 tokens

  Scenario: a reader that leaves after the end
    Given a server
    When a task of 8 tokens is submitted
    And its stream is read to the end
    And the reader leaves by close
    Then the server still answers

  Scenario: a signal to a server that has ended
    Given a server of its own
    When the server is told to stop
    Then it exits with 0 within 10000 ms
    When the server is told to stop
    Then it exits with 0 within 10000 ms
"""

MODULE = f"""from pytest_bdd import given, scenarios
from features.steps import faults

pytest_plugins = {test_features.pytest_plugins}

@given("a server with two replicas that both fail after 5 tokens")
def two_that_fail(world):
    faults.use_failing(world, {{"fail_after_tokens": 5}}, {{"fail_after_tokens": 5}})

scenarios("a.feature")
"""


def untold(text: str) -> list[str]:
    """What these steps break by themselves, not through `features.steps.faults`."""
    found, open_nodes = [], list[ast.AST]([ast.parse(text)])
    while open_nodes:
        node = open_nodes.pop()
        match node:
            case ast.Call(func=ast.Attribute(value=ast.Name(id="faults"))):
                continue
            case ast.Call(func=ast.Name(id=name) | ast.Attribute(attr=name)) if name in BREAKS:
                found.append(f"{node.lineno}: {name}")
            case ast.Constant(value=str(name)) if name in SETTINGS:
                found.append(f"{node.lineno}: {name}")
            case ast.keyword(arg=str(name)) if name in SETTINGS:
                found.append(f"{node.value.lineno}: {name}")
        open_nodes += ast.iter_child_nodes(node)
    return sorted(found)


def silent(text: str) -> list[str]:
    """The functions for steps that inject a fault and do not say so."""
    tells = {"expect_fault", "_expect_logged"}
    functions = [node for node in ast.parse(text).body if isinstance(node, ast.FunctionDef) and node.name[0] != "_"]
    calls = {
        function.name: {
            ast.unparse(node.func).rpartition(".")[2] for node in ast.walk(function) if isinstance(node, ast.Call)
        }
        for function in functions
    }
    return [name for name, called in calls.items() if not called & tells]


@pytest.mark.req("OC-TEST-7020")
def test_no_step_injects_a_fault_without_saying_so() -> None:
    files = [path for path in FOLDER.glob("*.py") if path.name not in (FAULTS, TIDIES)]

    assert {} == {path.name: found for path in files if (found := untold(path.read_text(encoding="utf-8")))}
    assert [] == silent((FOLDER / FAULTS).read_text(encoding="utf-8"))
    assert set(faults.FAULTS) == SETTINGS, "a stand-in can fail in a way that no scenario could tell"


@pytest.mark.req("OC-TEST-7020")
@pytest.mark.parametrize(
    ("step", "found"),
    [
        ('use(world, {"die_after_tokens": 5})', ["1: die_after_tokens"]),
        ("use(world, stall_after_tokens=5)", ["1: stall_after_tokens"]),
        ("world.client.leave(world.streams['task'])", ["1: leave"]),
        ("go_away(world.client.url, head)", ["1: go_away"]),
        ("world.target.process.terminate()", ["1: terminate"]),
        ("os.killpg(pid, 9)", ["1: killpg"]),
        ("faults.leave(world, world.streams['task'])", []),
    ],
)
def test_a_step_that_forgets_is_found(step: str, found: list[str]) -> None:
    assert found == untold(step)
    assert ["cut"] == silent("def cut(world):\n    world.client.leave(1)\ndef _part(): pass\n")


@pytest.mark.req("OC-TEST-7020", "OC-TEST-7036")
def test_a_fault_that_does_not_happen_shows_nothing(pytester: pytest.Pytester) -> None:
    """Each of these scenarios passes step by step; only the first is about something that has happened."""
    pytester.path.joinpath("a.feature").write_text(SCENARIOS, encoding="utf-8")
    pytester.makepyfile(test_a=MODULE)

    result = pytester.runpytest_subprocess(*PLUGIN)

    result.assert_outcomes(passed=1, failed=4)
    result.stdout.fnmatch_lines(
        [
            "UNKNOWN test_a_death_after_the_last_token: its fault did not happen: *; die_after_tokens of a stand-in*",
            "UNKNOWN test_one_of_two_replicas_that_were_to_fail: *; fail_after_tokens of a stand-in, 2 times",
            "UNKNOWN test_a_reader_that_leaves_after_the_end: *; a reader left before the end of its stream",
            "UNKNOWN test_a_signal_to_a_server_that_has_ended: *; the server ran when it was told to stop",
        ]
    )
