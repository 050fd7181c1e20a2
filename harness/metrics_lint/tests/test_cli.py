"""`llama-orch metrics lint`: exit codes, reports, sources, and two scrapes."""

import json
import socket
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from typer.testing import CliRunner, Result

from harness import cli
from harness.checks.metrics import series_contract
from harness.metrics_lint import source
from harness.metrics_lint.lint import NEVER_FALL, PROVES, READABLE, rules
from harness.outcome import Outcome
from harness.registry.evidence import EVIDENCE_ENV, read
from harness.tests.tiny_server import TinyServer, answer


def right() -> str:
    """An exposition that has every series of the contract once, and breaks nothing."""
    contract, lines = series_contract(), []
    for name, series in contract["series"].items():
        values = {
            label: series["values"].get(label, contract["values"].get(label, ["a"]))[0] for label in series["labels"]
        }
        inside = ",".join(f'{label}="{value}"' for label, value in values.items())
        lines += [f"# HELP {name} {series['help']}", f"# TYPE {name} {series['type']}"]
        if series["type"] == "histogram":
            lines += [f'{name}_bucket{{{inside},le="{bound}"}} 1' for bound in ("10", "+Inf")]
            lines += [f"{name}_count{{{inside}}} 1", f"{name}_sum{{{inside}}} 2.5"]
        else:
            lines.append(f"{name}{{{inside}}} 1" if inside else f"{name} 1")
    return "\n".join([*lines, ""])


RIGHT = right()
WRONG = RIGHT.replace("tasks_enqueued_total", "tasks_enqeued_total")


def run(*arguments: str, stdin: str | bytes | None = None, env: dict[str, str] | None = None) -> Result:
    return CliRunner().invoke(cli.app, ["metrics", "lint", *arguments], input=stdin, env=env)


@pytest.mark.req("OC-METRICS-7120", "HME-023")
@pytest.mark.parametrize(
    ("text", "options", "code", "says"),
    [
        pytest.param(RIGHT, [], 0, "PASS stdin: 0 errors, 0 warnings", id="right"),
        pytest.param(WRONG, [], 1, "expected tasks_enqueued_total as a counter", id="wrong"),
        pytest.param(RIGHT + "# HELP own Own.\nown 1\n", [], 0, "0 errors, 1 warnings", id="a-series-of-its-own"),
        pytest.param(RIGHT + "# HELP own Own.\nown 1\n", ["--strict"], 1, "nothing-beside-them own", id="strict"),
        pytest.param(RIGHT + "# HELP own Own.\nown 1\n", ["--strict", "--allow", "own"], 0, "PASS", id="allowed"),
        pytest.param(RIGHT[:-9], [], 1, "truncated", id="truncated"),
        pytest.param("", [], 1, "absent", id="empty"),
        pytest.param("\x00" * 9, [], 1, "stdin:1: error readable", id="nul"),
        pytest.param(b"a 1\nb\xff 1\n", [], 1, "stdin:2: error readable", id="not-utf-8"),
        pytest.param("<html></html>\n", [], 1, "readable", id="html"),
        pytest.param("x 1\n", ["--format", "openmetrics"], 1, "stdin:1: error readable", id="not-openmetrics"),
        pytest.param("# TYPE x gauge\n# TYPE x gauge\n# EOF\n", [], 1, "stdin:2: error readable", id="its-line"),
        pytest.param("# TYPE h histogram\nh {count:1}\n# EOF\n", [], 1, "cannot take this line", id="its-reader"),
        pytest.param("", ["--watch", "1"], 2, "only a URL", id="watched-input"),
        pytest.param("", ["--format", "xml"], 2, "format", id="no-such-format"),
        pytest.param("", ["--token-env", "UNSET_TOKEN"], 3, "UNSET_TOKEN, which is not set", id="no-token"),
        pytest.param(RIGHT, ["--json", "/nowhere/x"], 3, "cannot be written", id="no-place-for-the-report"),
    ],
)
def test_the_exit_code_and_the_words(text: str, options: list[str], code: int, says: str) -> None:
    result = run("-", *options, stdin=text)

    assert (code, True) == (result.exit_code, says in result.output), result.output


def evidence(path: Path, text: str, *arguments: str) -> dict[str, tuple[str, Outcome]]:
    """The requirement and the verdict of each check in the evidence of a run on this text."""
    run(*(arguments or ("-",)), stdin=text, env={EVIDENCE_ENV: str(path)})
    return {line.check.removeprefix("metrics-lint/"): (line.requirement, line.verdict) for line in read(path)}


@pytest.mark.req("OC-TEST-7048")
def test_every_rule_leaves_the_evidence_of_its_requirement(tmp_path: Path) -> None:
    right, wrong = evidence(tmp_path / "right", RIGHT), evidence(tmp_path / "wrong", WRONG + "own 1\n")
    broken, empty = evidence(tmp_path / "broken", "\x00" * 9), evidence(tmp_path / "empty", "")

    assert {rule: (req, Outcome.PASS) for rule, req in PROVES.items() if rule != NEVER_FALL} == right
    assert ("OC-METRICS-7101", Outcome.FAIL) == wrong["declared-with-their-types"]
    assert ("OC-METRICS-7105", Outcome.WARN) == wrong["nothing-beside-them"]
    assert ("OC-METRICS-7102", Outcome.PASS) == wrong["within-budgets"]
    assert ("OC-METRICS-7108", Outcome.FAIL) == broken.pop(READABLE)
    assert {Outcome.UNKNOWN} == {verdict for _, verdict in broken.values()}
    assert Outcome.PASS not in {verdict for _, verdict in empty.values()}
    (said,) = [line.evidence for line in read(tmp_path / "wrong") if line.check.endswith("/nothing-beside-them")]
    assert "repeat: llama-orch metrics lint -" in said


@pytest.mark.req("OC-TEST-7048")
def test_two_scrapes_leave_evidence_of_what_became_of_the_counters(tmp_path: Path) -> None:
    def script(sock: socket.socket, head: bytes) -> None:
        sock.sendall(answer("200 OK", RIGHT.encode()))

    with TinyServer(script) as server:
        found = evidence(tmp_path / "twice", "", server.url, "--watch", "0")

    assert ("OC-CORE-1041", Outcome.PASS) == found[NEVER_FALL]
    assert set(rules()) == set(PROVES) == set(found)


@pytest.mark.req("OC-METRICS-7120")
def test_a_failure_shows_the_command_that_repeats_it(tmp_path: Path) -> None:
    file = tmp_path / "a b.txt"
    file.write_text(WRONG)

    result = run(str(file), "--allow", "x_", "--strict")

    assert f"repeat    llama-orch metrics lint '{file}' --allow x_ --strict" in result.output


@pytest.mark.req("HME-023")
@pytest.mark.parametrize("name", ["none.txt", ".", "nul\x00", "x" * 5_000], ids=["none", "folder", "nul", "long"])
def test_a_file_that_cannot_be_read_is_no_verdict(tmp_path: Path, name: str) -> None:
    result = run(f"{tmp_path}/{name}")

    assert (3, True) == (result.exit_code, "cannot be read" in result.output), result.output


@pytest.mark.req("HME-023")
def test_what_is_too_big_is_no_verdict(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(source, "BYTES_MAX", 1_000)
    (tmp_path / "big").write_text(RIGHT)

    result = run(str(tmp_path / "big"))

    assert (3, True) == (result.exit_code, "is over" in result.output), result.output


@pytest.mark.req("HME-023")
def test_a_line_that_no_series_needs_is_no_verdict() -> None:
    """Readers of OpenMetrics would take minutes for it."""
    result = run("-", stdin=f'own{{x="{"z" * source.LINE_BYTES_MAX}"}} 1\n')

    assert (3, True) == (result.exit_code, "a line of over 64 KiB" in result.output), result.output


@pytest.mark.req("HME-023")
def test_a_path_that_is_no_unicode_is_judged_and_reported(tmp_path: Path) -> None:
    (tmp_path / "bad\udcff").write_text(WRONG)

    result = run(f"{tmp_path}/bad\udcff", *(part for kind in ("json", "junit", "sarif") for part in (f"--{kind}", "-")))

    assert (1, True) == (result.exit_code, "bad\N{REPLACEMENT CHARACTER}" in result.output), result.output


def test_a_large_scrape_is_judged_in_seconds() -> None:
    """A hundred thousand lines, ten megabytes: what a full contract at its budgets would take."""
    rows = "".join(f'own{{x="{number}",y="{"z" * 80}"}} 1\n' for number in range(100_000))

    result = run("-", stdin=f"{RIGHT}# HELP own Own.\n# TYPE own gauge\n{rows}")

    assert 0 == result.exit_code, result.output[:500]


@given(st.one_of(st.binary(), st.text().map(str.encode), st.integers(0, len(RIGHT)).map(lambda n: RIGHT[:n].encode())))
@settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_whatever_comes_in_there_is_a_verdict_and_no_traceback(content: bytes) -> None:
    result = run("-", stdin=content)

    assert result.exit_code in (0, 1), result.output
    assert result.exception is None or isinstance(result.exception, SystemExit)


# ── reports ──


def test_json_holds_every_finding_with_its_place() -> None:
    report = json.loads(run("-", "--json", "-", stdin=WRONG).stdout)

    assert (2, 1) == (report["errors"] + report["warnings"], report["warnings"])
    assert {"rule", "level", "source", "req", "expected", "actual", "at", "series", "line"} == report["findings"][
        0
    ].keys()
    assert "llama-orch metrics lint -" == report["repeat"]


def test_junit_has_a_case_for_each_rule_and_fails_the_broken_one() -> None:
    suite = ET.fromstring(run("-", "--junit", "-", stdin=WRONG + 'depth{x="\x01"} 1\n').stdout)  # noqa: S314 - our own

    failed = {case.get("name") for case in suite if case.find("failure") is not None}
    assert rules().keys() == {case.get("name") for case in suite}
    assert {"declared-with-their-types", "named-by-convention"} == failed


def test_sarif_names_its_rules_and_lines() -> None:
    (run_,) = json.loads(run("-", "--sarif", "-", stdin=RIGHT.replace("queue_depth{", 'queue_depth{x="1",')).stdout)[
        "runs"
    ]

    (result,) = run_["results"]
    place = result["locations"][0]["physicalLocation"]
    assert result["ruleId"] in {rule["id"] for rule in run_["tool"]["driver"]["rules"]}
    assert ("error", "stdin") == (result["level"], place["artifactLocation"]["uri"])
    assert RIGHT.splitlines()[place["region"]["startLine"] - 1].startswith("queue_depth{")


@pytest.mark.parametrize(
    ("name", "uri"),
    [
        pytest.param("a b.txt", "a%20b.txt", id="blank"),
        pytest.param("c:x%.txt", "c%3Ax%25.txt", id="no-scheme-and-no-escape"),
    ],
)
def test_sarif_names_a_file_by_a_reference_that_is_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, uri: str
) -> None:
    monkeypatch.chdir(tmp_path)
    Path(name).write_text(WRONG)

    results = json.loads(run(name, "--sarif", "-").stdout)["runs"][0]["results"]

    assert {uri} == {r["locations"][0]["physicalLocation"]["artifactLocation"]["uri"] for r in results}


def test_an_annotation_is_one_line_whatever_it_holds() -> None:
    (line,) = run(
        "-", "--github", stdin=RIGHT.replace('model_id="a"', 'model_id="::x,\\n%"', 1) + "# HELP a,b\n"
    ).stdout.splitlines()

    assert line.startswith("::error file=stdin,line=")


def test_a_label_does_not_steer_the_terminal() -> None:
    output = run("-", stdin=RIGHT + 'own{user="\x1b[2J\x07"} 1\n').output

    assert "\\x1b[2J" in output
    assert "\x1b" not in output


@pytest.mark.parametrize("option", ["--json", "--junit", "--sarif"])
def test_reports_go_to_files_beside_the_words(tmp_path: Path, option: str) -> None:
    result = run("-", option, str(tmp_path / "report"), stdin=WRONG)

    assert "FAIL" in result.output
    assert "declared-with-their-types" in (tmp_path / "report").read_text()


# ── over HTTP ──

SECRET = "planted-secret-4711"


def serving(*texts: bytes, status: str = "200 OK", headers: tuple[str, ...] = ()) -> TinyServer:
    """Gives one text after the other."""
    left = list(texts)

    def script(sock: socket.socket, head: bytes) -> None:
        sock.sendall(answer(status, left.pop(0), *headers))

    return TinyServer(script)


@pytest.mark.req("OC-METRICS-7120")
def test_a_url_is_scraped_with_the_token_and_without_a_path_at_metrics() -> None:
    with serving(RIGHT.encode()) as server:
        url = server.url
        result = run(url, "--token-env", "T", env={"T": SECRET})

    assert (0, f"PASS {url}/metrics: 0 errors, 0 warnings\n") == (result.exit_code, result.output)
    assert server.requests[0].startswith(b"GET /metrics HTTP/1.1")
    assert f"authorization: bearer {SECRET}" in server.requests[0].decode().lower()


@pytest.mark.req("HME-023")
@pytest.mark.parametrize(
    ("status", "headers", "says"),
    [
        pytest.param("401 Unauthorized", (), "--token-env", id="no-token"),
        pytest.param("404 Not Found", (), "answered 404", id="no-metrics"),
        pytest.param("302 Found", ("Location: http://127.0.0.1:9/",), "answered 302", id="redirect"),
    ],
)
def test_a_server_that_refuses_is_no_verdict(status: str, headers: tuple[str, ...], says: str) -> None:
    with serving(b"no", status=status, headers=headers) as server:
        result = run(server.url, "--token-env", "T", env={"T": SECRET})

    assert (3, True, False) == (result.exit_code, says in result.output, SECRET in result.output), result.output
    assert 1 == len(server.requests)


@pytest.mark.req("HME-023")
@pytest.mark.parametrize("url", ["http://127.0.0.1:9", "http://[", "http://127.0.0.1:99999/", "http://\x00/"])
def test_an_address_where_nobody_is_gives_no_verdict(url: str) -> None:
    assert 3 == run(url).exit_code


def test_a_password_in_the_address_is_not_shown() -> None:
    with serving(WRONG.encode(), WRONG.encode()) as server:
        url = server.url.replace("://", f"://me:{SECRET}@")
        results = [run(url, "--json", "-"), run(url)]
    results.append(run(url))  # nobody is there any more

    assert [1, 1, 3] == [result.exit_code for result in results]
    assert [False] * 3 == [SECRET in result.output for result in results]


@pytest.mark.req("OC-METRICS-7120", "OC-CORE-1041", "OC-TEST-7006")
@pytest.mark.parametrize(
    ("second", "code", "says"),
    [
        pytest.param(RIGHT.replace('le="+Inf"} 1', 'le="+Inf"} 2'), 1, "error cumulative", id="later-broken"),
        pytest.param(RIGHT.replace("} 1\n", "} 0\n", 1), 1, "counters-never-fall tasks_enqueued_total", id="fell"),
        pytest.param(RIGHT.replace("} 1\n", "} 7\n", 1), 0, "PASS", id="rose"),
    ],
)
def test_two_scrapes_are_held_against_each_other(second: str, code: int, says: str) -> None:
    with serving(RIGHT.encode(), second.encode()) as server:
        result = run(server.url, "--watch", "0")

    assert (code, True) == (result.exit_code, says in result.output), result.output


def test_openmetrics_is_read_where_the_server_speaks_it() -> None:
    with serving(b"# EOF\n", headers=("Content-Type: application/openmetrics-text; version=1.0.0",)) as server:
        result = run(server.url, "--format", "openmetrics", "--json", "-")

    assert {"declared-with-their-types"} == {finding["rule"] for finding in json.loads(result.stdout)["findings"]}
    assert b"accept: application/openmetrics-text" in server.requests[0].lower()
