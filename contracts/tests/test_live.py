"""Both OpenAPI files against the live server: schemathesis, an independent reader, draws requests and follows links.

One check of its is left out: `positive_data_acceptance` takes every 400 for a defect that a request of the right shape
gets, and what fields mean together (a model that no pool serves, a registry that is not trusted) is no matter of shape.
"""

import json
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from harness.target import REFERENCE_SERVER, Servers, Target

OPENAPI = Path(__file__).parent.parent / "openapi"
PLANES = ("data", "control")
EXAMPLES = {"data": 150, "control": 130}
CASES_MIN = 1_000  # of each plane


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Target]:
    """A reference server of its own, on the embedded mock: it is drained, reloaded and retired."""
    servers = Servers(REFERENCE_SERVER, folder=tmp_path / "servers")
    yield servers.start({})
    servers.stop()


def run(server: Target, contract: Path, *, examples: int, folder: Path) -> tuple[dict[str, Any], str]:
    """The report of one run, and what it printed."""
    (folder / "schemathesis.toml").write_text("")  # it would look for one in the folders above
    report = folder / f"{contract.stem}.json"
    options = {
        "--url": server.url,
        "--header": f"Authorization: Bearer {server.token}",
        "--phases": "examples,fuzzing,stateful",
        "--exclude-checks": "positive_data_acceptance",
        "--max-examples": str(examples),
        "--request-timeout": "10",
        "--output-sanitize": "false",  # it takes max_tokens for a secret
        "--report": "json",
        "--report-json-path": str(report),
    }
    line = [str(Path(sys.executable).parent / "schemathesis"), "run", str(contract)]
    line += [part for option in options.items() for part in option]
    line += ["--generation-deterministic", "--continue-on-failure", "--no-color"]
    done = subprocess.run(line, capture_output=True, text=True, timeout=300, check=False, cwd=folder)
    printed = done.stdout + done.stderr
    assert report.exists(), printed
    return json.loads(report.read_text()), printed


@pytest.mark.timeout(300)
@pytest.mark.req("ORCH-3044", "OC-CTRL-2067", "OC-CTRL-2069")
@pytest.mark.parametrize("plane", PLANES)
def test_the_live_server_is_as_its_contract_says(
    server: Target,
    tmp_path: Path,
    plane: str,
    capsys: pytest.CaptureFixture[str],
    record_property: Callable[[str, object], None],
) -> None:
    report, printed = run(server, OPENAPI / f"{plane}.yaml", examples=EXAMPLES[plane], folder=tmp_path)
    cases = report["test_cases"]["generated"]
    record_property("schemathesis_cases", cases)
    with capsys.disabled():
        sys.stdout.write(f"\nschemathesis, {plane} plane: {cases} cases, {len(report['failures'])} failures\n")

    assert ([], []) == (report["failures"], report["errors"]), printed[-8_000:]
    ran = {name for name, phase in report["phases"].items() if phase["status"] == "success"}
    assert {"examples", "fuzzing", "stateful"} == ran, printed[-2_000:]  # without links the last would be skipped
    assert report["complete"], printed[-2_000:]
    assert cases >= CASES_MIN, printed[-2_000:]
    assert report["operations"]["tested"] == report["operations"]["total"], printed[-2_000:]


@pytest.mark.parametrize(
    ("there", "instead"),
    [
        ("        '404': {$ref: 'data.yaml#/components/responses/NotFound'}\n", ""),  # a status that is not documented
        ("required: [id, kind, digest, created_ms, tags]", "required: [id, kind, digest, created_ms, tags, owner]"),
        ("status: {type: string, enum: [ok]}", "status: {type: string, enum: [fine]}"),
    ],
    ids=["undocumented status", "missing field", "wrong value"],
)
def test_a_server_that_breaks_its_contract_is_found(server: Target, tmp_path: Path, there: str, instead: str) -> None:
    shutil.copytree(OPENAPI, tmp_path / "openapi")
    contract = tmp_path / "openapi" / "control.yaml"
    text = contract.read_text(encoding="utf-8")
    assert there in text
    contract.write_text(text.replace(there, instead), encoding="utf-8")

    report, printed = run(server, contract, examples=5, folder=tmp_path)

    assert report["failures"], printed[-2_000:]
