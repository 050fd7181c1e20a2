"""Results for programs: JSON, JUnit, SARIF 2.1.0 and GitHub's annotations.

Source: SARIF 2.1.0 (OASIS); JUnit as Jenkins and GitLab read it; GitHub's workflow commands.
"""

import json
import re
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any
from urllib.parse import quote
from xml.etree import ElementTree as ET

from harness.metrics_lint.lint import Result, rules
from harness.metrics_lint.source import is_url

SARIF_SCHEMA = "https://json.schemastore.org/sarif-2.1.0.json"
UNPRINTABLE = re.compile(r"[^\t\n\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")  # what XML 1.0 cannot hold


def as_json(results: Sequence[Result], source: str, repeat: str) -> str:
    """One object with all of it."""
    errors = sum(result.is_error for result in results)
    whole = {
        "source": source,
        "errors": errors,
        "warnings": len(results) - errors,
        "repeat": repeat,
        "findings": [{"rule": r.rule, "level": level(r), "source": r.source, **asdict(r.finding)} for r in results],
    }
    return json.dumps(whole, indent=2, ensure_ascii=False) + "\n"


def as_junit(results: Sequence[Result], source: str, *, strict: bool) -> str:
    """One case for each rule; a warning fails its case only where it fails the run."""
    names = rules()
    failed = {r.rule for r in results if r.is_error or strict}
    suite = ET.Element("testsuite", name="llama-orch metrics lint", tests=str(len(names)), failures=str(len(failed)))
    for name, asks in names.items():
        case = ET.SubElement(suite, "testcase", classname="metrics", name=name)
        told = "\n".join(_xml(sentence(r)) for r in results if r.rule == name)
        if name in failed:
            ET.SubElement(case, "failure", message=f"{_xml(asks)} ({_xml(source)})").text = told
        elif told:
            ET.SubElement(case, "system-out").text = told
    return ET.tostring(suite, encoding="unicode", xml_declaration=True) + "\n"


def as_sarif(results: Sequence[Result], version: str) -> str:
    """One run, with every rule and a place for each result."""
    driver = {
        "name": "llama-orch metrics lint",
        "version": version,
        "rules": [{"id": name, "shortDescription": {"text": asks}} for name, asks in rules().items()],
    }
    found = [
        {
            "ruleId": r.rule,
            "level": level(r),
            "message": {"text": sentence(r)},
            "locations": [{"physicalLocation": _place(r)}],
        }
        for r in results
    ]
    run = {"tool": {"driver": driver}, "results": found}
    return json.dumps({"$schema": SARIF_SCHEMA, "version": "2.1.0", "runs": [run]}, indent=2, ensure_ascii=False) + "\n"


def as_annotations(results: Sequence[Result]) -> str:
    """`::error file=…,line=…,title=…::message`, one a line."""
    lines = []
    for r in results:
        place = f"file={_property(r.source)},line={max(1, r.finding.line)},title={_property(r.rule)}"
        lines.append(f"::{level(r)} {place}::{_data(sentence(r))}\n")
    return "".join(lines)


def level(result: Result) -> str:
    """`error` or `warning`."""
    return "error" if result.is_error else "warning"


def sentence(result: Result) -> str:
    """A finding in one line."""
    finding = result.finding
    return f"{finding.req}: expected {finding.expected}; actual: {finding.actual}"


def _place(result: Result) -> dict[str, Any]:
    uri = result.source if is_url(result.source) else quote(result.source)
    return {"artifactLocation": {"uri": uri}, "region": {"startLine": max(1, result.finding.line)}}


def _data(text: str) -> str:
    return text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def _property(text: str) -> str:
    return _data(text).replace(":", "%3A").replace(",", "%2C")


def _xml(text: str) -> str:
    return UNPRINTABLE.sub("\N{REPLACEMENT CHARACTER}", text)
