"""The log of a server that the scenario has started: JSON lines on its standard error."""

import json
from importlib.resources import files
from typing import Any

import jsonschema_rs
from pytest_bdd import parsers, then, when

from features.steps.hostile import dumped
from features.steps.requests import JSON
from features.steps.world import World
from harness.history import parsed

LOGGED_MS = 5_000  # for the way of a line to the file, on a busy machine


def lines(world: World) -> list[dict[str, Any]]:
    """Every whole line so far; one that is not JSON fails."""
    assert world.target.process is not None
    text, _, _ = world.target.process.stderr.read_text(encoding="utf-8").rpartition("\n")
    found = [(line, parsed(line)) for line in text.splitlines()]
    wrong = [line for line, value in found if not isinstance(value, dict)]
    assert [] == wrong, f"not JSON: {wrong}"
    return [value for _, value in found]


def lines_of(world: World, name: str, count: int = 3) -> list[dict[str, Any]]:
    """The lines about one task, once so many are there: its admission, its start and its end are three."""
    task_id = world.task_id(name)

    def about() -> list[dict[str, Any]]:
        found = [line for line in lines(world) if line.get("job_id") == task_id]
        return found if len(found) >= count else []

    return world.wait_within(about, LOGGED_MS, what=f"{count} log lines about the task", figure="logged_ms")


@when(parsers.parse('a task with the prompt "{prompt}" is submitted'))
def a_task_with_the_prompt(world: World, prompt: str) -> None:
    world.submit("task", world.body(prompt=prompt))


@when(parsers.parse('the prompt "{prompt}" is sent in a task that is refused'))
def the_prompt_is_refused(world: World, prompt: str) -> None:
    body = dumped({**world.body(prompt=prompt), prompt: prompt})
    world.answers.append(world.client.request("POST", "/v1/tasks", body=body, headers=JSON, origin="hostile"))


@then("its log lines are as the contract has them")
def its_lines_are_as_agreed(world: World) -> None:
    schema = json.loads(files("contracts").joinpath("logs", "line.schema.json").read_text("utf-8"))
    validator = jsonschema_rs.validator_for(schema)
    found = lines_of(world, "task")
    wrong = [f"{error.message} in {line}" for line in found for error in validator.iter_errors(line)]
    assert [] == wrong


@then("the line of its admission has queue_position and predicted_start_ms")
def the_admission_is_logged(world: World) -> None:
    admission = lines_of(world, "task", 1)[0]
    told = world.answers[0].json
    fields = ("queue_position", "predicted_start_ms")
    assert [told[name] for name in fields] == [admission[name] for name in fields]


@then(parsers.parse('the logs have neither "{one}" nor "{other}" nor the server\'s token'))
def the_logs_are_silent(world: World, one: str, other: str) -> None:
    process, token = world.target.process, world.target.token
    assert process is not None
    assert token is not None
    lines_of(world, "task")
    text = process.stderr.read_text() + process.stdout.read_text()
    assert [] == [secret for secret in (one, other, token) if secret in text]


@then("the logs do not have the text of the stream")
def the_logs_have_no_output(world: World) -> None:
    """A run of four pieces cannot be in the log by chance."""
    text, stream = json.dumps(lines(world), ensure_ascii=False), world.stream("task")
    pieces = [frame.payload["t"] for frame in stream.tokens]
    runs = ["".join(pieces[at : at + 4]) for at in range(max(1, len(pieces) - 3))]
    assert [] == [run for run in runs if len(run.strip()) > 3 and run in text]


@then(parsers.parse('the log line of its admission has the correlation id "{value}"'))
def the_line_has_the_id(world: World, value: str) -> None:
    assert value == lines_of(world, "task", 1)[0]["correlation_id"]
