"""The runner of the developer's loop, and its command line."""

import sys
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from tools import lock, steps
from tools.__main__ import main

ROOT = Path(__file__).resolve().parents[2]


def test_every_step_runs_and_the_failed_ones_are_named(tmp_path: Path) -> None:
    said: list[str] = []

    failed = steps.run(
        {
            "first": steps.finding(lambda _: ["a.md:1: broken"]),
            "second": steps.command(sys.executable, "-c", "print('trace'); raise SystemExit(3)"),
            "third": steps.finding(lambda _: []),
        },
        tmp_path,
        say=said.append,
    )

    assert ["first", "second"] == failed
    assert ["a.md:1: broken", "FAIL  first", "trace", "FAIL  second", "pass  third"] == [
        line[:14].strip() for line in said
    ]


def test_steps_run_beside_each_other_and_the_tests_alone_after_them(tmp_path: Path) -> None:
    both, ended = threading.Barrier(2), list[str]()

    def step(name: str) -> steps.Step:
        def meet(_: Path) -> steps.Verdict:
            both.wait(timeout=60)  # for ever, if they came one after the other
            ended.append(name)
            return steps.Verdict(passed=True)

        return meet

    def tests(_: Path) -> steps.Verdict:
        return steps.Verdict(passed=sorted(ended) == ["first", "second"])

    steps_of_all = {"first": step("first"), "second": step("second"), "tests": tests}

    assert [] == steps.run(steps_of_all, tmp_path, say=lambda _: None)


def test_each_step_says_its_time(tmp_path: Path) -> None:
    said: list[str] = []

    steps.run({"only": steps.finding(lambda _: [])}, tmp_path, say=said.append)

    assert said[0].endswith(" s")
    assert float(said[0].split()[-2]) >= 0


def test_a_program_that_is_missing_fails_its_step_and_no_other(tmp_path: Path) -> None:
    verdict = steps.command("no-such-program-of-ours")(tmp_path)

    assert not verdict.passed
    assert "no-such-program-of-ours cannot be started" in verdict.output


@pytest.mark.parametrize("step", [steps.command, steps.loud])
def test_a_program_runs_in_the_root(tmp_path: Path, step: Callable[..., steps.Step]) -> None:
    code = f"import os, sys; sys.exit(os.path.realpath(os.getcwd()) != {str(tmp_path.resolve())!r})"

    assert step(sys.executable, "-c", code)(tmp_path).passed


def test_check_is_lint_and_the_tests() -> None:
    assert [*steps.LINT, "tests"] == list(steps.CHECK)
    named = {
        *("format", "lint", "types", "imports", "generated", "specs", "ids", "index", "links", "queries", "workflows"),
        *("names", "actions"),
    }
    assert named == set(steps.LINT)


@pytest.mark.parametrize(
    ("problems", "code", "last"),
    [pytest.param([], 0, "all passed", id="green"), pytest.param(["x.md: broken"], 1, "failed: only", id="red")],
)
def test_the_exit_code_and_the_last_line_say_whether_all_passed(
    problems: list[str], code: int, last: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(steps, "LINT", {"only": steps.finding(lambda _: problems)})

    assert code == main(["lint"])
    assert last == capsys.readouterr().out.splitlines()[-1]


def test_help_shows_examples(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stop:
        main(["--help"])

    assert 0 == stop.value.code
    assert "python -m tools gen --check" in capsys.readouterr().out


def test_an_unknown_verb_is_wrong_usage(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stop:
        main(["polish"])

    assert 2 == stop.value.code
    assert "polish" in capsys.readouterr().err


def test_lock_without_uv_says_what_to_do(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code = lock.lock(tmp_path, find=lambda _: None)

    assert 3 == code
    assert "pip install uv" in capsys.readouterr().err


def test_lock_starts_uv_in_the_root_and_passes_its_code_on(tmp_path: Path) -> None:
    uv = tmp_path / "uv"
    uv.write_text('#!/bin/sh\nprintf "%s\\n" "$@" > arguments\nexit 7\n')
    uv.chmod(0o755)

    code = lock.lock(tmp_path, find=lambda _: str(uv))

    arguments = (tmp_path / "arguments").read_text().splitlines()
    assert 7 == code
    assert {"--generate-hashes", "--universal", "pyproject.toml", "python -m tools lock"} <= set(arguments)


def test_the_lock_file_names_the_command_that_writes_it() -> None:
    header = (ROOT / lock.LOCK).read_text().partition("==")[0]

    assert "python -m tools lock" in header
