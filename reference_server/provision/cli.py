"""`llama-orch engines install | plan | list`."""

import json
from typing import Annotated

import typer

from reference_server.provision import cache, llamacpp, models
from reference_server.provision.console import say
from reference_server.provision.errors import ProvisionError

EXIT_FAILED = 1

app = typer.Typer(
    help="Bring engines and models into the cache, and show what is there.",
    no_args_is_help=True,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
)

EngineArgument = Annotated[str, typer.Argument(help="Which engine: llamacpp.", metavar="ENGINE")]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]


def _require_known(engine: str) -> None:
    if engine != "llamacpp":
        raise typer.BadParameter(f"{engine!r} cannot be installed; known: llamacpp", param_hint="ENGINE")


@app.command()
def install(
    engine: EngineArgument,
    with_model: Annotated[bool, typer.Option("--with-model", help="Bring a small real model too (98 MB).")] = False,  # noqa: FBT002 - typer's flags
) -> None:
    """Build or fetch ENGINE unless the cache has it.

    Example: llama-orch engines install llamacpp --with-model
    """
    _require_known(engine)
    try:
        llamacpp.install()
        if with_model:
            models.install()
    except ProvisionError as error:
        say(f"llama-orch engines install: {error}")
        raise typer.Exit(EXIT_FAILED) from None
    except KeyboardInterrupt:
        say("interrupted; the cache holds no half install")
        raise typer.Exit(130) from None


@app.command()
def plan(engine: EngineArgument) -> None:
    """Show what installing ENGINE would do, as JSON; changes nothing.

    Example: llama-orch engines plan llamacpp
    """
    _require_known(engine)
    typer.echo(json.dumps(llamacpp.plan_as_dict(), indent=2))


@app.command(name="list")
def list_(as_json: AsJson = False) -> None:  # noqa: FBT002 - typer's flags
    """Show the engines and models in the cache.

    Example: llama-orch engines list --json
    """
    found = {"engines": cache.installed("engines"), "models": cache.installed("models")}
    if as_json:
        typer.echo(json.dumps(found, indent=2))
        return
    for engine in found["engines"]:
        typer.echo(f"engine  {engine['engine']} {engine['version']}  {engine['binary']}")
    for model in found["models"]:
        typer.echo(f"model   {model['id']}  {model['path']}")
    if not any(found.values()):
        typer.echo("The cache is empty. Try: llama-orch engines install llamacpp --with-model")
