"""`llama-orch haiku`. Kept light: what a run needs is imported by it."""

import os
from pathlib import Path
from typing import Annotated

import typer


def haiku(
    *,
    url: Annotated[str | None, typer.Option(help="Judge the server at this address, not the reference server.")] = None,
    token_env: Annotated[str | None, typer.Option(help="The environment variable that holds its API token.")] = None,
    engine: Annotated[str, typer.Option(help="The engine that tasks ask for: llamacpp or vllm.")] = "llamacpp",
    engine_url: Annotated[
        list[str] | None, typer.Option(help="An engine behind --url; name each, their counters are added up.")
    ] = None,
    json_file: Annotated[Path | None, typer.Option("--json", help="Write the whole result to this file.")] = None,
) -> None:
    """Prove end to end that answers come from a real engine: fresh nonces, its own words, its counters.

    Without --url the reference server is started on the installed llama-server. With REQUIRE_REAL_LLAMA=1 a stand-in is
    refused by what it says of itself. Exit codes: 0 pass, 1 fail, 2 wrong usage, 3 could not run.

    Examples:

      llama-orch haiku

      REQUIRE_REAL_LLAMA=1 llama-orch haiku --json haiku.json

      llama-orch haiku --url http://127.0.0.1:8080 --token-env MY_TOKEN --engine-url http://127.0.0.1:8081
    """
    from harness.haiku.run import Options, run

    if (url is None) != (not engine_url):
        raise typer.BadParameter("--url and --engine-url go together: without the engine's own word nothing is proved")
    if token_env is not None and (url is None or token_env not in os.environ):
        raise typer.BadParameter(f"--token-env belongs to --url and names a variable that is set: {token_env}")
    if engine not in {"llamacpp", "vllm"}:
        raise typer.BadParameter(f"{engine} cannot be asked directly; llamacpp and vllm can")
    named = [("--url", url), ("--token-env", token_env), *(("--engine-url", u) for u in engine_url or [])]
    options = Options(
        url=url,
        token=os.environ[token_env] if token_env is not None else None,
        engine=engine,
        engine_urls=tuple(engine_url or ()),
        json_file=json_file,
        repeat=(*(p for n, v in named if v is not None for p in (n, v)), *(("--engine", engine) if url else ())),
    )
    raise typer.Exit(run(options))
