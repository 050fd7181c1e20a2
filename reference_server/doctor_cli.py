"""`llama-orch doctor`."""

import json
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from reference_server import config_file
from reference_server.config import Config, ConfigError
from reference_server.doctor import Finding, examine
from reference_server.provision import network
from reference_server.runtime.gpus import read_gpus

EXIT_PROBLEM = 1
SIGNS = {"ok": "ok     ", "absent": "absent ", "problem": "PROBLEM"}


def doctor(
    config: Annotated[Path | None, typer.Option(help="YAML file: look at what its pools need too.")] = None,
    *,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Show what this host has and lacks, with a remedy for each problem; changes nothing.

    Tools and their versions, GPUs, container runtimes, the cache and its disk, what is installed, and with --config
    what each pool needs. What is absent and nobody needs is no problem. Exit codes: 0 no problem, 1 problems, 2 wrong
    usage.

    Examples:

      llama-orch doctor

      llama-orch doctor --config pools.yaml --json
    """
    loaded, wrong = _loaded(config) if config is not None else (None, [])
    if loaded is not None:
        network.follow(lambda: loaded.outbound)
    findings = [*wrong, *examine(loaded, read_gpus())]
    problems = [finding for finding in findings if finding.status == "problem"]
    if as_json:
        shown = {"ok": not problems, "findings": [asdict(finding) for finding in findings]}
        typer.echo(json.dumps(shown, indent=2, ensure_ascii=False))
    else:
        _print(findings, len(problems))
    raise typer.Exit(EXIT_PROBLEM if problems else 0)


def _loaded(path: Path) -> tuple[Config | None, list[Finding]]:
    try:
        loaded = config_file.load(path)
    except ConfigError as error:
        remedy = "contracts/config/examples/full.yaml shows every setting"
        return None, [Finding(area="config", name=str(path), status="problem", detail=str(error), remedy=remedy)]
    return loaded, [Finding(area="config", name=str(path), status="ok", detail=f"{len(loaded.pools)} pools")]


def _print(findings: list[Finding], problems: int) -> None:
    for finding in findings:
        typer.echo(f"{SIGNS[finding.status]} {finding.area:<10} {finding.name:<14} {finding.detail}")
        if finding.remedy:
            typer.echo(f"{'':19}{'':14} remedy: {finding.remedy}")
    counted = {0: "no problem", 1: "1 problem"}.get(problems, f"{problems} problems")
    typer.echo(f"{counted} found")
