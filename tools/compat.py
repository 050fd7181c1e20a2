"""What was verified on which real engine: run, written down as JSON, and shown as the README's table.

A row is the result of one run on one machine. It says what passed, and the version that the engine told there.

Source: OC-TEST-7010, OC-TEST-7011.
"""

import datetime as dt
import json
import os
import platform
import re
import subprocess
import sys
import tempfile
import xml.etree.ElementTree as ET
from collections import Counter
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

ENGINES = ("llamacpp", "vllm", "triton")
FOLDER = Path("contracts/compat")
TESTS = "harness/engines/tests/test_real_engine.py"
SUITES = (TESTS, "features/test_features.py")
SELECTED = ("-m", "scenario or real_engine", "-p", "no:xdist", "-q")
# What each test on a real engine shows, by the beginning of its name.
SHOWS = {
    "test_real_it_streams": "streams",
    "test_real_a_cancel": "cancel stops it",
    "test_real_a_reader_that_leaves": "leaving stops it",
    "test_real_capabilities": "version",
    "test_real_its_metrics": "metrics",
    "test_real_an_error_before": "error before a stream",
    "test_real_an_error_of_the_engine": "error in a stream",
    "test_real_an_engine_that_is_killed": "death",
}
EXIT_COULD_NOT_RUN = 3


class NoResultError(ValueError):
    """A run gave nothing that could be written down."""


def verify(root: Path, engine: str, *, say: Callable[[str], None]) -> int:
    """Run the tests and the features on a real engine, and write what passed to `contracts/compat/<engine>.json`.

    Nothing is written by a run that failed.

    Returns:
        The exit code: 0 all passed, 1 something did not, 3 the engine could not be run.
    """
    with tempfile.TemporaryDirectory() as folder:
        report = Path(folder) / "junit.xml"
        command = [sys.executable, "-m", "pytest", *SUITES, *SELECTED, "--junit-xml", str(report)]
        code = subprocess.run(
            command, cwd=root, env={**os.environ, "REQUIRE_REAL_ENGINE": engine}, check=False
        ).returncode
        if code not in {0, 1} or not report.exists():
            say(f"the run on {engine} did not come to results: pytest ended with {code}")
            return EXIT_COULD_NOT_RUN
        found = result_of(report.read_text(encoding="utf-8"), engine)
    if code != 0:
        say(f"{engine}: something failed, nothing was written; repeat with: REQUIRE_REAL_ENGINE={engine} pytest …")
        return 1
    target = root / FOLDER / f"{engine}.json"
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_text(json.dumps(found, indent=2, sort_keys=True) + "\n", encoding="utf-8")
    say(f"wrote {target.relative_to(root)}; `python -m tools gen` puts it into the README")
    return 0


def result_of(junit: str, engine: str) -> dict[str, Any]:
    """What a run's JUnit report says.

    Raises:
        NoResultError: no test told the engine's version.
    """
    cases = list(ET.fromstring(junit).iter("testcase"))  # noqa: S314 - written by our own run
    real = [case for case in cases if "test_real_engine" in case.get("classname", "")]
    versions = [p.get("value") for case in real for p in case.iter("property") if p.get("name") == "engine_version"]
    if not versions:
        raise NoResultError(f"no test on {engine} told its version")
    scenarios = Counter(_outcome(case) for case in cases if case not in real)
    return {
        "engine": engine,
        "engine_version": versions[0],
        "verified": sorted(shown for prefix, shown in SHOWS.items() if _outcome(_named(real, prefix)) == "passed"),
        "serves": sorted({value for case in real for value in _served(case)}),
        "scenarios": dict(sorted(scenarios.items())),
        "machine": f"{platform.system()} {platform.machine()}, CPU",
        "date": dt.datetime.now(tz=dt.UTC).date().isoformat(),
    }


def _named(cases: list[ET.Element], prefix: str) -> ET.Element | None:
    return next((case for case in cases if case.get("name", "").startswith(prefix)), None)


def _outcome(case: ET.Element | None) -> str:
    if case is None:
        return "missing"
    for kind in ("failure", "error", "skipped"):
        if case.find(kind) is not None:
            return "not_applicable" if kind == "skipped" else "failed"
    return "passed"


def _served(case: ET.Element) -> list[str]:
    """The workload that a test saw answered, by the property that it left."""
    return [str(p.get("value")) for p in case.iter("property") if p.get("name") == "serves"]


def table(root: Path) -> str:
    """The README's table, of all results that are written down."""
    rows = [json.loads((root / FOLDER / f"{name}.json").read_text(encoding="utf-8")) for name in written(root)]
    head = (
        "| engine | version, as it told it | verified | also serves | scenarios | when |\n|---|---|---|---|---|---|\n"
    )
    return head + "".join(map(_row, rows))


def written(root: Path) -> list[str]:
    """The engines that there are results of."""
    return [name for name in ENGINES if (root / FOLDER / f"{name}.json").exists()]


def _row(found: Mapping[str, Any]) -> str:
    scenarios = found["scenarios"]
    counted = f"{scenarios.get('passed', 0)} passed, {scenarios.get('not_applicable', 0)} not applicable"
    serves = ", ".join(found["serves"]) or "none"
    version = re.sub(r"[^\w.+-]", "", found["engine_version"])
    verified = ", ".join(found["verified"])
    return (
        f"| {found['engine']} | {version} | {verified} | {serves} | {counted} | {found['date']}, {found['machine']} |\n"
    )
