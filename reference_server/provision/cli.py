"""`llama-orch engines install | plan | list`."""

import json
from collections.abc import Callable
from typing import Annotated, Final

import typer

from reference_server.provision import cache, environment, llamacpp, models, triton, vllm
from reference_server.provision.console import say
from reference_server.provision.errors import ProvisionError

EXIT_FAILED = 1

app = typer.Typer(
    help="Bring engines and models into the cache, and show what is there.",
    no_args_is_help=True,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
)

INSTALL: Final[dict[str, Callable[[], object]]] = {
    "llamacpp": llamacpp.install,
    "vllm": vllm.install,
    "triton": triton.install,
}
PLAN: Final[dict[str, Callable[[], dict[str, object]]]] = {
    "llamacpp": llamacpp.plan_as_dict,
    "vllm": lambda: environment.plan_as_dict(vllm.plan()),
    "triton": lambda: environment.plan_as_dict(triton.plan()),
}
KNOWN = ", ".join(INSTALL)

EngineArgument = Annotated[str, typer.Argument(help=f"Which engine: {KNOWN}.", metavar="ENGINE")]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]


def _require_known(engine: str) -> None:
    if engine not in INSTALL:
        raise typer.BadParameter(f"{engine!r} cannot be installed; known: {KNOWN}", param_hint="ENGINE")


@app.command()
def install(
    engine: EngineArgument,
    with_model: Annotated[bool, typer.Option("--with-model", help="Bring a small real model too (98 MB).")] = False,  # noqa: FBT002 - typer's flags
) -> None:
    """Build or fetch ENGINE unless the cache has it.

    llamacpp is built from source; vllm (4 GB, on the CPU, with a tiny random model) and triton (with a model that makes
    its text up) come as packages, each into an environment of its own.

    Examples:

      llama-orch engines install llamacpp --with-model

      llama-orch engines install vllm
    """
    _require_known(engine)
    if with_model and engine != "llamacpp":
        raise typer.BadParameter(f"{engine} brings its model with it", param_hint="--with-model")
    try:
        INSTALL[engine]()
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
    typer.echo(json.dumps(PLAN[engine](), indent=2))


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
        typer.echo(f"engine  {engine['engine']} {engine['version']}  {engine.get('binary') or engine['python']}")
    for model in found["models"]:
        typer.echo(f"model   {model['id']}  {model['path']}")
    if not any(found.values()):
        typer.echo("The cache is empty. Try: llama-orch engines install llamacpp --with-model")
