"""`llama-orch engines`, `models` and `doctor`: what brings engines and models, under the rules of a configuration."""

from pathlib import Path
from typing import Annotated

import typer

from reference_server import config_file
from reference_server.config import ConfigError
from reference_server.doctor_cli import doctor
from reference_server.provision import network
from reference_server.provision.cli import app as engines
from reference_server.provision.models_cli import app as models

EXIT_USAGE, EXIT_COULD_NOT_RUN = 2, 3


@engines.callback()
@models.callback()
def under_rules(
    context: typer.Context,
    config: Annotated[
        Path | None, typer.Option(help="YAML file: its pools, and by `outbound` what may be fetched.")
    ] = None,
) -> None:
    """Bring engines and models into the cache, and show what is there.

    What is fetched goes out under the `outbound` rules and plugins of --config; LLAMA_ORCH_OFFLINE=1 switches it off.
    """
    if config is None:
        return
    try:
        loaded = config_file.load(config)
    except ConfigError as error:
        typer.echo(f"llama-orch: {error}", err=True)
        raise typer.Exit(EXIT_USAGE) from None
    context.obj = loaded
    if not loaded.plugins:
        network.follow(lambda: loaded.outbound)
        return
    from reference_server import plugins  # the sandbox takes its time to import
    from reference_server.policy.plugin import PluginRefusedError
    from reference_server.telemetry import log

    log.configure()  # what plugins decide goes there
    try:
        policies = plugins.load(loaded.plugins)
    except PluginRefusedError as error:
        typer.echo(f"llama-orch: {error}", err=True)
        raise typer.Exit(EXIT_COULD_NOT_RUN) from None
    network.follow(lambda: loaded.outbound, ask=policies.outbound_refusal)


def add_to(app: typer.Typer) -> None:
    """Give a command line these verbs."""
    app.add_typer(engines, name="engines")
    app.add_typer(models, name="models")
    app.command()(doctor)
