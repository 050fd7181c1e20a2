"""`llama-orch engines install | plan | list`."""

import enum
import json
from collections.abc import Callable
from functools import partial
from typing import Annotated

import typer

from reference_server.config import Config
from reference_server.provision import cache, llamacpp, models, provisioner, recipes
from reference_server.provision.console import say
from reference_server.provision.errors import ProvisionError
from reference_server.provision.interrupts import interruptible
from reference_server.provision.plan import Plan
from reference_server.provision.provisioner import Recipe

EXIT_FAILED = 1


class Cuda(enum.StrEnum):
    """As `provisioning.cuda` of a pool."""

    AUTO, ON, OFF = "auto", "on", "off"


app = typer.Typer(
    help="""Bring engines and models into the cache, and show what is there.

    Examples:

      llama-orch engines plan llamacpp

      llama-orch engines --config pools.yaml install
    """,
    no_args_is_help=True,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
)
KNOWN = ", ".join(recipes.SHIPPED)

EngineArgument = Annotated[
    str | None, typer.Argument(help=f"Which engine: {KNOWN}; with --config a pool, or all of them.", metavar="[ENGINE]")
]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]
ForCuda = Annotated[
    Cuda | None, typer.Option("--cuda", help="Build llamacpp for CUDA: auto where nvcc and cuBLAS are (the default).")
]


@app.command()
def install(
    context: typer.Context,
    engine: EngineArgument = None,
    *,
    with_model: Annotated[bool, typer.Option("--with-model", help="Bring a small real model too (98 MB).")] = False,
    cuda: ForCuda = None,
    as_json: AsJson = False,
) -> None:
    """Bring ENGINE, or the engines of the configuration's pools, unless the cache has them.

    llamacpp is built from source; vllm (4 GB, on the CPU, with a tiny random model) and triton (with a model that makes
    its text up) come as packages, each into an environment of its own. With --config the pools' `provisioning` counts.

    Examples:

      llama-orch engines install llamacpp --with-model

      llama-orch engines install llamacpp --cuda off

      llama-orch engines install vllm

      llama-orch engines --config pools.yaml install
    """
    if with_model and engine != "llamacpp":
        raise typer.BadParameter(
            "a model comes with llamacpp only; vllm and triton bring theirs", param_hint="--with-model"
        )
    config: Config = context.obj or Config()
    try:
        may_install = config.engines.install_packages
        wanted = [recipe for _, of in _recipes(context, engine, cuda) if (recipe := of()) is not None]
        with interruptible():
            made = [provisioner.install(one, may_install_packages=may_install) for one in wanted]
            if with_model:
                made.append(models.install())
    except ProvisionError as error:
        say(f"llama-orch engines install: {error}")
        raise typer.Exit(EXIT_FAILED) from None
    except KeyboardInterrupt:
        say("interrupted; the cache holds no half install")
        raise typer.Exit(130) from None
    if as_json:
        typer.echo(json.dumps(made, indent=2))


@app.command()
def plan(
    context: typer.Context, engine: EngineArgument = None, *, cuda: ForCuda = None, as_json: AsJson = False
) -> None:
    """Show what installing ENGINE, or the engines of the configuration's pools, would do; changes nothing.

    Equal configuration on equal hosts gives an equal plan, and the plan's digest names it.

    Examples:

      llama-orch engines plan llamacpp

      llama-orch engines --config pools.yaml plan --json
    """
    plans, failed = [], False
    for name, of in _recipes(context, engine, cuda):
        try:
            plans += [recipe.plan()] if (recipe := of()) is not None else []
        except ProvisionError as error:
            say(f"llama-orch engines plan: {name}: {error}")
            failed = True
    if as_json:
        shown = [{"id": one.id, **json.loads(one.text)} for one in plans]
        typer.echo(json.dumps(shown[0] if engine and shown else shown, indent=2))
    else:
        _show(plans)
    if failed:
        raise typer.Exit(EXIT_FAILED)
    if not plans and not as_json:
        typer.echo("Nothing is to be done: no pool of the configuration has an engine that is brought.")


def _show(plans: list[Plan]) -> None:
    for one in plans:
        typer.echo(f"{one.engine} {one.version} by {one.mode}: {one.id}\n  into {one.folder}")
        typer.echo(f"  needs {', '.join(one.tools) or 'no tools'}, and {one.disk_bytes / 1e9:.1f} GB of disk")
        for choice in one.choices:
            typer.echo(f"  {choice}")
        for entry in one.inputs:
            typer.echo(f"  fetches {entry.what}" + (f" ({entry.digest})" if entry.digest else ""))
        for number, step in enumerate(one.steps, 1):
            typer.echo(f"  {number}. {step.name}: {' '.join(step.command)}")


@app.command(name="list")
def list_(*, as_json: AsJson = False) -> None:
    """Show the engines and models in the cache.

    Example: llama-orch engines list --json
    """
    found = {"engines": cache.installed("engines"), "models": cache.installed("models")}
    if as_json:
        typer.echo(json.dumps(found, indent=2))
        return
    for engine in found["engines"]:
        where = engine.get("binary") or engine.get("python") or engine.get("image")
        typer.echo(f"engine  {engine['engine']} {engine['version']}  {where}")
    for model in found["models"]:
        typer.echo(f"model   {model['id']}  {model['path']}")
    if not any(found.values()):
        typer.echo("The cache is empty. Try: llama-orch engines install llamacpp --with-model")


Named = tuple[str, Callable[[], Recipe | None]]
"""For whom, and what makes the recipe; it raises `PreflightError`."""


def _recipes(context: typer.Context, named: str | None, cuda: Cuda | None) -> list[Named]:
    """Those of the configuration's pools, or of the one that is named; without a configuration the engine's own."""
    config: Config | None = context.obj
    if cuda is not None:
        if named != "llamacpp" or config is not None:
            text = "for `llamacpp` without --config; a pool's own is `provisioning.cuda`"
            raise typer.BadParameter(text, param_hint="--cuda")
        return [(named, partial(llamacpp.recipe, cuda=cuda.value))]
    if config is None:
        if named is None:
            text = f"name one of {KNOWN}, or a file with pools: llama-orch engines --config FILE …"
            raise typer.BadParameter(text, param_hint="ENGINE")
        if named not in recipes.SHIPPED:
            raise typer.BadParameter(f"{named!r} cannot be installed; known: {KNOWN}", param_hint="ENGINE")
        return [(named, recipes.SHIPPED[named])]
    pools = {pool.id: pool for pool in config.pools}
    if named is None or named in pools:
        chosen = pools.values() if named is None else [pools[named]]
        return [(f"pool {pool.id}", partial(recipes.of, pool)) for pool in chosen]
    if named in recipes.SHIPPED:
        return [(named, recipes.SHIPPED[named])]
    known = ", ".join([*pools, *recipes.SHIPPED])
    raise typer.BadParameter(f"{named!r} is neither a pool nor an engine; known: {known}", param_hint="ENGINE")
