"""`llama-orch conform` as a user runs it: its files, its known gaps, what it selects, and how many share the work."""

import itertools
import json
import os
from collections.abc import Iterator
from dataclasses import dataclass
from html import unescape
from importlib.resources import files
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import jsonschema_rs
import pytest
from typer.testing import CliRunner

from harness import cli
from harness.conform import Selection
from harness.explain import scenarios
from harness.history import now_ms
from harness.saboteur.defects import DEFECTS
from harness.saboteur.proxy import Saboteur
from harness.target import REFERENCE_SERVER, Servers

CHECK = "streaming/frames-come-in-order-and-end-with-exactly-one-end"
DEFECT = DEFECTS["gap-in-the-index"]  # from the fourth token on, `i` is one too large

CORES, CORE_S = 2, 10.0  # as OC-TEST-7025 has it

TOKEN_ENV = "CONFORM_COMMAND_TOKEN"


@dataclass(frozen=True)
class Bench:
    """A server behind a proxy that can do it harm, and the command against it.

    Attributes:
        options: those that say which server it is.
    """

    saboteur: Saboteur
    options: tuple[str, ...]

    def conform(self, *arguments: str) -> tuple[int, str]:
        """Run the one check with these arguments: its exit code, and what it has shown."""
        done = CliRunner().invoke(cli.app, ["conform", *self.options, "--check", CHECK, *arguments])
        return done.exit_code, done.output


@dataclass(frozen=True)
class Failed:
    """A run in which one check has failed."""

    code: int
    report: dict[str, Any]
    page: str
    badge: str
    junit: str


@pytest.fixture(scope="module")
def bench(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bench]:
    servers, saboteur = Servers(REFERENCE_SERVER, folder=tmp_path_factory.mktemp("server")), Saboteur()
    with pytest.MonkeyPatch.context() as patch:
        target = servers.get({})
        patch.setenv(TOKEN_ENV, target.token or "")
        yield Bench(saboteur, ("--url", saboteur.front(target.url), "--token-env", TOKEN_ENV))
    saboteur.close()
    servers.stop()


@pytest.fixture(scope="module")
def failed(bench: Bench, tmp_path_factory: pytest.TempPathFactory) -> Failed:
    folder = tmp_path_factory.mktemp("reports")
    wanted = [part for kind in ("json", "html", "badge", "junit") for part in (f"--{kind}", str(folder / kind))]
    bench.saboteur.plant(DEFECT)
    code, _ = bench.conform(*wanted)
    bench.saboteur.lift()
    texts = {path.name: path.read_text(encoding="utf-8") for path in folder.iterdir()}
    return Failed(code, json.loads(texts["json"]), texts["html"], texts["badge"], texts["junit"])


@pytest.mark.req("HME-023", "OC-TEST-7028")
def test_every_file_that_was_asked_for_is_written_and_valid(failed: Failed) -> None:
    schema = json.loads(files("contracts").joinpath("reports", "report.schema.json").read_text("utf-8"))

    assert (1, 1, {"FAIL": 1}) == (failed.code, failed.report["exit_code"], failed.report["counts"])
    assert [] == [error.message for error in jsonschema_rs.validator_for(schema).iter_errors(failed.report)]
    assert f"--check {CHECK}" in failed.report["scenarios"][0]["repeat"]
    assert f"--check {CHECK}" in failed.page
    assert "OrchQueue v1: 0 of 1 checks" == ET.fromstring(failed.badge).get("aria-label")  # noqa: S314 - our own file
    assert 1 == len(ET.fromstring(failed.junit).findall(".//failure"))  # noqa: S314 - our own file


@pytest.mark.req("OC-TEST-7037")
def test_a_failed_stream_is_shown_with_its_request_its_answer_and_the_frames_that_are_wrong(failed: Failed) -> None:
    (scenario,) = failed.report["scenarios"]
    (stream,) = [text for text in scenario["trace"] if text.startswith("stream of ")]
    tokens = [json.loads(line.partition(": ")[2])["i"] for line in stream.splitlines() if " token: " in line]

    assert "OC-CTRL-2022" in {violation["req"] for violation in scenario["violations"]}
    assert any(text.startswith("POST /v1/tasks\n  > {") and "\n  < 202\n" in text for text in scenario["trace"])
    assert "\nGET /v1/tasks/" in stream
    assert "\n  < 200\n" in stream
    assert [0, 1, 2, 4, 5] == tokens[:5], stream
    assert "\n  … 6 frames …\n" in stream
    assert " end: {" in stream.splitlines()[-1]
    assert stream in unescape(failed.page)
    assert f"Repeat: <code>{scenario['repeat']}</code>" in failed.page


@pytest.mark.req("OC-TEST-7025", "OC-TEST-7049")
def test_the_profile_core_costs_what_two_cores_have_in_ten_seconds(tmp_path: Path) -> None:
    """Processor time, of the run with its workers and servers: it is the same on a machine that others use, too."""
    path, before, began_ms = tmp_path / "r.json", os.times(), now_ms()
    done = CliRunner().invoke(cli.app, ["conform", "--profile", "core", "--json", str(path)])
    after, took_ms = os.times(), now_ms() - began_ms

    used_s = after.children_user + after.children_system - before.children_user - before.children_system
    report = json.loads(path.read_text(encoding="utf-8"))
    assert 0 == done.exit_code, done.output
    assert 1 < used_s < CORES * CORE_S
    assert 0 < report["duration_ms"] <= took_ms


@pytest.mark.req("OC-TEST-7035")
def test_the_error_of_predicted_starts_gets_into_the_report(tmp_path: Path) -> None:
    """Whatever the verdict is: a harness that was late has measured, too."""
    check, path = "times-that-come-true/a-predicted-start-comes-true-as-nearly-as-the-report-says", tmp_path / "r.json"
    done = CliRunner().invoke(cli.app, ["conform", "--check", check, "--json", str(path)])
    figures = json.loads(path.read_text(encoding="utf-8"))["figures"]
    errors = {name: figures[name]["median"] for name in figures if name.startswith("predicted_start_error_")}

    assert {"predicted_start_error_ms", "predicted_start_error_max_ms", "predicted_start_error_ratio"} == set(errors)
    assert 0 < errors["predicted_start_error_ms"] <= errors["predicted_start_error_max_ms"]
    assert f"median {errors['predicted_start_error_ms']:g} (at most" in done.output


@pytest.mark.req("OC-TEST-7024")
def test_a_known_gap_fails_nothing_until_it_closes(bench: Bench, tmp_path: Path) -> None:
    gaps = tmp_path / "gaps.yaml"
    gaps.write_text(f"{CHECK}: counts are wrong until the next release\n", encoding="utf-8")
    bench.saboteur.plant(DEFECT)
    open_code, opened = bench.conform("--gaps", str(gaps))
    bench.saboteur.lift()
    closed_code, closed = bench.conform("--gaps", str(gaps))

    assert (0, True) == (open_code, "counts are wrong until the next release" in opened), opened
    assert (1, True) == (closed_code, f"closed gap: {CHECK} passes" in closed), closed


@pytest.mark.req("OC-TEST-7039")
def test_a_tag_selects_what_has_it_and_nothing_else() -> None:
    done = CliRunner().invoke(cli.app, ["conform", "--dry-run", "--tag", "stand_in"])
    *rows, sums = done.output.splitlines()
    none = CliRunner().invoke(cli.app, ["conform", "--dry-run", "--tag", "nothing-has-this"])

    assert (0, f"{len(rows)} checks") == (done.exit_code, sums.partition(",")[0]), done.output
    assert {told.check for told in scenarios() if "stand_in" in told.tags} == {row.split()[1] for row in rows}
    assert (2, True) == (none.exit_code, "no scenario matches" in none.output)


@pytest.mark.req("OC-TEST-7039")
@pytest.mark.parametrize(
    ("selection", "environment", "workers"),
    [
        pytest.param(Selection(), {}, ["6"], id="servers-of-its-own"),
        pytest.param(Selection(launch="my-server"), {}, ["6"], id="servers-that-it-launches"),
        pytest.param(Selection(jobs=3), {}, ["3"], id="told"),
        pytest.param(Selection(jobs=1), {}, [], id="told-one"),
        pytest.param(Selection(url="http://x"), {}, [], id="one-server-for-all"),
        pytest.param(Selection(), {"REQUIRE_REAL_LLAMA": "1"}, [], id="one-engine-for-all"),
        pytest.param(Selection(is_dry=True), {}, [], id="nothing-runs"),
    ],
)
def test_a_run_uses_every_core_where_checks_share_nothing(
    monkeypatch: pytest.MonkeyPatch, selection: Selection, environment: dict[str, str], workers: list[str]
) -> None:
    monkeypatch.setattr(os, "cpu_count", lambda: 6)
    monkeypatch.delenv("REQUIRE_REAL_LLAMA", raising=False)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    options = selection.options()

    assert workers == [value for name, value in itertools.pairwise(options) if name == "--numprocesses"]
