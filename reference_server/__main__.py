"""`python -m reference_server serve | engines | models`: the server's own verbs, which `llama-orch` passes on to it."""

import sys
from pathlib import Path
from typing import Annotated

import msgspec
import typer

from reference_server import config_file
from reference_server.config import Config, ConfigError

EXIT_USAGE = 2

app = typer.Typer(
    no_args_is_help=True,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    add_completion=False,
)


@app.callback()
def verbs() -> None:
    """The OrchQueue v1 reference server."""


@app.command()
def serve(
    config: Annotated[Path | None, typer.Option(help="YAML file; without one, a pool on the embedded mock.")] = None,
    config_mode: Annotated[
        config_file.Mode, typer.Option(help="strict refuses unknown fields; compat logs them and goes on.")
    ] = "strict",
    host: Annotated[str | None, typer.Option(help="Address to listen on; loopback unless a token is set.")] = None,
    port: Annotated[int | None, typer.Option(help="Port to listen on; 0 takes a free one.", min=0, max=65535)] = None,
    state_dir: Annotated[
        Path | None,
        typer.Option(help="Folder for what outlives the process.", show_default="~/.local/state/llama-orch"),
    ] = None,
    *,
    ephemeral: Annotated[bool, typer.Option("--ephemeral", help="Keep nothing: all in memory.")] = False,
) -> None:
    """Serve OrchQueue v1 until SIGTERM or Ctrl-C.

    Prints one JSON line {"event": "ready", "url": …} on standard output when it is ready; logs go to standard error.
    The API token comes from LLORCH_API_TOKEN. SIGHUP reads the configuration file anew: limits change at once, and a
    file that is wrong or needs a restart changes nothing; the log says which.

    Examples:

      llama-orch serve

      llama-orch serve --ephemeral --port 0

      LLORCH_API_TOKEN=… llama-orch serve --config pools.yaml --host 0.0.0.0 --port 8080
    """
    from reference_server.app import serve as run
    from reference_server.store.database import default_state_dir
    from reference_server.telemetry import log

    if ephemeral and state_dir is not None:
        typer.echo("llama-orch serve: --ephemeral keeps nothing, so it takes no --state-dir", err=True)
        raise typer.Exit(EXIT_USAGE)
    log.configure()
    changed = {name: value for name, value in (("host", host), ("port", port)) if value is not None}

    def read() -> Config:
        loaded = Config() if config is None else config_file.load(config, config_mode)
        return msgspec.structs.replace(loaded, **changed)

    try:
        first = read()
    except ConfigError as error:
        typer.echo(f"llama-orch serve: {error}", err=True)
        raise typer.Exit(EXIT_USAGE) from None
    kept = None if ephemeral else state_dir or default_state_dir()
    raise typer.Exit(run(first, state_dir=kept, reread=read if config else None))


if __name__ == "__main__":
    if sys.argv[1:2] != ["serve"]:  # a server does not load what only they need: it starts in two thirds of the time
        from reference_server import provision_cli

        provision_cli.add_to(app)
    app(prog_name="llama-orch")
    sys.exit(0)
