"""`llama-orch trace`, its matrix, and `llama-orch regen`."""

import json
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path

import pytest
from typer.testing import CliRunner

import harness
from harness import trace
from harness.cli import app
from harness.report import matrix

ROOT = Path(harness.__file__).parent.parent
ENTRY = {
    "id": "ORCH-2001",
    "level": "MUST",
    "sentence": "It MUST <b>be</b>.",
    "spec": "contracts/specs/system.md",
    "contracts": ["contracts/openapi/data.yaml createTask"],
    "scenarios": [],
    "tests": ["a.py::test_a"],
    "code": [],
}


@pytest.mark.req("OC-TEST-7092")
def test_the_chain_of_a_requirement_is_shown_from_sentence_to_code() -> None:
    shown = CliRunner().invoke(app, ["trace", "ORCH-3026"]).output

    assert "ORCH-3026  MUST  contracts/specs/system.md" in shown
    assert "The server MUST NOT send any reader a `token` frame" in shown
    assert "contracts/openapi/data.yaml cancelTask" in shown
    assert "features/cancel.feature: " in shown
    assert "reference_server/web/stream.py" in shown


@pytest.mark.req("OC-TEST-7092")
def test_the_same_chain_is_given_to_machines() -> None:
    result = CliRunner().invoke(app, ["trace", "ORCH-3026", "--json"])

    entry = json.loads(result.output)
    assert 0 == result.exit_code
    assert {"id", "level", "sentence", "spec", "contracts", "scenarios", "tests", "code"} <= set(entry)
    assert entry == trace.load()["ORCH-3026"]


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        pytest.param(["trace", "ORCH-3026", "--html", "x"], 2, "give an ID, or", id="both"),
        pytest.param(["trace", "ORCH-9999"], 2, "no specification states", id="no such id"),
    ],
)
def test_wrong_use_says_what_to_do(arguments: list[str], code: int, said: str) -> None:
    result = CliRunner().invoke(app, arguments)

    assert (code, True) == (result.exit_code, said in result.output)


@pytest.mark.req("OC-TEST-7092")
@pytest.mark.parametrize(("tests", "code"), [pytest.param([], 1, id="none"), pytest.param(["t.py::test"], 0, id="one")])
def test_a_requirement_that_no_check_names_fails(monkeypatch: pytest.MonkeyPatch, tests: list[str], code: int) -> None:
    planted = {**trace.load()["ORCH-3026"], "id": "ORCH-9998", "scenarios": [], "tests": tests}
    monkeypatch.setattr(trace, "load", lambda: {"ORCH-9998": planted})

    result = CliRunner().invoke(app, ["trace", "ORCH-9998"])

    assert (code, True) == (result.exit_code, "ORCH-9998" in result.output)


@pytest.mark.req("OC-TEST-7096")
@pytest.mark.parametrize("family", ["ORCH", "OC-CORE", "OC-CTRL", "OC-POOL"])
def test_a_family_is_listed_and_every_must_of_it_has_a_check(family: str) -> None:
    result = CliRunner().invoke(app, ["trace", family])
    *rows, sums = result.output.splitlines()

    assert 0 == result.exit_code, result.output
    assert [i for i in trace.load() if i.startswith(f"{family}-")] == [row.split()[0] for row in rows]
    assert ": 0 without a check" in sums


@pytest.mark.req("OC-TEST-7096")
def test_all_of_them_are_listed_for_machines_too() -> None:
    assert list(trace.load().values()) == json.loads(CliRunner().invoke(app, ["trace", "--json"]).output)


@pytest.mark.req("OC-TEST-7096", "OC-TEST-7006")
@pytest.mark.parametrize(
    ("fields", "lacks"),
    [
        pytest.param({"tests": []}, True, id="nothing"),
        pytest.param({"tests": [], "gap": "not yet"}, True, id="a gap"),
        pytest.param({"tests": [], "excluded": "no GPU"}, False, id="excluded"),
        pytest.param({"tests": [], "level": "SHOULD"}, False, id="a SHOULD"),
        pytest.param({}, False, id="checked"),
    ],
)
def test_a_must_without_a_check_fails_the_list(
    monkeypatch: pytest.MonkeyPatch, fields: dict[str, object], lacks: bool
) -> None:
    monkeypatch.setattr(trace, "load", lambda: {"ORCH-2001": {**ENTRY, **fields}})
    result = CliRunner().invoke(app, ["trace"])

    assert lacks == bool(result.exit_code) == (": 1 without a check" in result.output), result.output


class Rows(HTMLParser):
    """Counts rows, and what a page loads."""

    def __init__(self) -> None:
        super().__init__()
        self.rows: list[str] = []
        self.loaded: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        named = dict(attrs)
        if tag == "tr" and (identifier := named.get("id")):
            self.rows.append(identifier)
        self.loaded += [f"{tag} {name}" for name in ("src", "href") if name in named]


@pytest.mark.req("OC-TEST-7092")
def test_the_matrix_has_a_row_for_every_sentence_and_loads_nothing(tmp_path: Path) -> None:
    page = tmp_path / "requirements.html"
    CliRunner().invoke(app, ["trace", "--html", str(page)], catch_exceptions=False)
    read = Rows()
    read.feed(page.read_text(encoding="utf-8"))

    assert list(trace.load()) == read.rows
    assert [] == read.loaded


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        pytest.param({}, "1 checked", id="checked"),
        pytest.param({"tests": []}, "1 without a check", id="nothing"),
        pytest.param({"tests": [], "gap": "not <yet>"}, "gap: not &lt;yet&gt;", id="a gap"),
        pytest.param({"tests": [], "excluded": "no GPU"}, "excluded: no GPU", id="excluded"),
    ],
)
def test_the_matrix_says_the_state_and_escapes_every_text(fields: dict[str, object], said: str) -> None:
    page = matrix.page([{**ENTRY, **fields}])

    assert said in page
    assert "It MUST &lt;b&gt;be&lt;/b&gt;." in page


@pytest.mark.req("OC-CONFIG-6010")
def test_regen_checks_the_generated_files_of_a_checkout() -> None:
    done = subprocess.run(
        [sys.executable, "-c", "from harness.cli import main; main()", "regen", "--check"],
        cwd="/",
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )

    assert 0 == done.returncode, done.stdout + done.stderr
    assert "pass  generated" in done.stdout


def test_regen_outside_a_checkout_says_what_it_needs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(harness, "__file__", str(tmp_path / "harness" / "__init__.py"))

    result = CliRunner().invoke(app, ["regen"])

    assert (3, True) == (result.exit_code, "is no checkout" in result.output)
