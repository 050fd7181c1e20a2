"""Reports that implementations submit: where they lie, and what holds them to the schema.

    contracts/reports/submitted/NAME/VERSION/report.json     as `llama-orch conform --json …` wrote it
    contracts/reports/submitted/NAME/VERSION/README.md       with a section "Reproduce"

Source: OC-TEST-7028.
"""

import json
from collections.abc import Iterator
from importlib.resources import files
from pathlib import Path

import jsonschema_rs

REPRODUCE = "## Reproduce"


def reports_in(folder: Path) -> list[Path]:
    """Every report below a folder, wherever it lies."""
    return sorted(folder.rglob("report.json"))


def problems(path: Path, folder: Path) -> Iterator[str]:
    """What is wrong with one report, in words."""
    parts = path.relative_to(folder).parts
    if len(parts) != 3:
        yield f"{path}: not in NAME/VERSION/report.json"
        return
    try:
        report = json.loads(path.read_bytes())
    except (ValueError, RecursionError) as error:
        yield f"{path}: not JSON: {error}"
        return
    schema = json.loads(files("contracts").joinpath("reports", "report.schema.json").read_text("utf-8"))
    yield from (f"{path}: {breach.message}" for breach in jsonschema_rs.validator_for(schema).iter_errors(report))
    who = report.get("implementation") if isinstance(report, dict) else None
    if not isinstance(who, dict):
        yield f"{path}: names no implementation"
    elif (who.get("name"), who.get("version")) != parts[:2]:
        yield f"{path}: is of {who.get('name')} {who.get('version')}, and lies in {parts[0]}/{parts[1]}"
    readme = path.with_name("README.md")
    if not readme.is_file() or REPRODUCE not in readme.read_text(encoding="utf-8", errors="replace"):
        yield f"{readme}: has no section {REPRODUCE!r}"
