"""`llama-orch task` and `llama-orch artifacts`: a server's queue, streams and artifacts from a shell.

The answer goes to standard output; what is told of the wait and of the stream goes to standard error, a line each.

Source: HME-020, HME-021, HME-022.
"""

import json
import sys
import threading
import uuid
from pathlib import Path
from typing import Annotated, Literal, NoReturn

import httpx
import msgspec
import typer

from contracts.client import ApiError, OrchQueueClient, OrchQueueError, models

LOOK_S = 0.25  # between two looks at a task that waits
EXIT_FAIL, EXIT_COULD_NOT_RUN = 1, 3

app = typer.Typer(no_args_is_help=True, add_completion=False, rich_markup_mode=None, pretty_exceptions_enable=False)
artifacts = typer.Typer(no_args_is_help=True, help="Store and read artifacts.")
app.add_typer(artifacts, name="artifacts")

Url = Annotated[str, typer.Option(help="Of the server.")]
Token = Annotated[str | None, typer.Option("--token", envvar="LLORCH_API_TOKEN", help="The API token.")]
LOCAL = "http://127.0.0.1:8080"


@app.command()
def task(
    prompt: Annotated[str, typer.Argument(help="The prompt; - reads it from standard input.")],
    *,
    url: Url = LOCAL,
    token: Token = None,
    engine: Annotated[Literal["llamacpp", "vllm", "tgi", "triton"], typer.Option(help="Of the pool.")] = "llamacpp",
    model_ref: Annotated[str, typer.Option(help="Of the pool.")] = "default",
    priority: Annotated[Literal["interactive", "batch"], typer.Option(help="The lane.")] = "interactive",
    max_tokens: Annotated[int, typer.Option(help="Of the answer.")] = 256,
    ctx: Annotated[int, typer.Option(help="Of prompt and answer together.")] = 2048,
    deadline_ms: Annotated[int, typer.Option(help="From now.")] = 600_000,
    session_id: Annotated[str | None, typer.Option(help="A UUID; without it a session of its own.")] = None,
) -> None:
    """Submit a task, show its place in the queue while it waits, then its answer and the figures of its stream.

    Exit codes: 0 it ended, 1 it was refused or failed, 2 wrong usage, 3 the server could not be reached.

    Examples:

      llama-orch task "Write a haiku about a queue."

      llama-orch task - --priority batch --max-tokens 1000 < prompt.txt
    """
    wanted = models.Task(
        task_id=str(uuid.uuid4()),
        session_id=session_id or str(uuid.uuid4()),
        workload="completion",
        model_ref=model_ref,
        engine=engine,
        ctx=ctx,
        priority=priority,
        max_tokens=max_tokens,
        deadline_ms=deadline_ms,
        prompt=sys.stdin.read() if prompt == "-" else prompt,
    )
    try:
        with OrchQueueClient(url, token=token) as client:
            admitted = client.create_task(wanted).body
            _tell("admitted", {"task_id": wanted.task_id, **_place(admitted)})
            _wait(client, wanted.task_id, _place(admitted))
            _follow(client, wanted.task_id)
    except (OrchQueueError, httpx.TransportError) as error:
        _fail(url, error)


@artifacts.command("put")
def put(
    file: Annotated[Path, typer.Argument(help="UTF-8 text; - is standard input.", allow_dash=True)],
    *,
    url: Url = LOCAL,
    token: Token = None,
    kind: Annotated[Literal["plan", "summary", "diff", "trace", "other"], typer.Option(help="What it is.")] = "other",
    tag: Annotated[list[str] | None, typer.Option(help="May be given again.")] = None,
) -> None:
    """Store a file as an artifact, and print its id.

    Example:

      llama-orch artifacts put plan.md --kind plan --tag release
    """
    try:
        content = sys.stdin.read() if str(file) == "-" else file.read_text("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise typer.BadParameter(f"{file}: {error}") from None
    request = models.ArtifactRequest(kind=kind, content=content, tags=tuple(tag or ()))
    try:
        with OrchQueueClient(url, token=token) as client:
            typer.echo(client.create_artifact(request).body.id)
    except (OrchQueueError, httpx.TransportError) as error:
        _fail(url, error)


@artifacts.command("get")
def get(
    artifact_id: Annotated[str, typer.Argument(metavar="ID", help="As `put` printed it.")],
    *,
    url: Url = LOCAL,
    token: Token = None,
    as_json: Annotated[bool, typer.Option("--json", help="All that is known of it.")] = False,
) -> None:
    """Print an artifact's content.

    Example:

      llama-orch artifacts get sha256:9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08
    """
    try:
        with OrchQueueClient(url, token=token) as client:
            found = client.get_artifact(artifact_id).body
    except (OrchQueueError, httpx.TransportError) as error:
        _fail(url, error)
    typer.echo(msgspec.json.encode(found).decode() if as_json else found.content or "", nl=as_json)


def _wait(client: OrchQueueClient, task_id: str, told: dict[str, object]) -> None:
    """Until it runs, tell each change of its place."""
    looks = threading.Event()
    while (status := client.get_task(task_id).body).state == "queued":
        if (place := _place(status)) != told:
            _tell("queued", place)
            told = place
        looks.wait(LOOK_S)


def _follow(client: OrchQueueClient, task_id: str) -> None:
    """Print the tokens as they come, and tell the figures of every `metrics` frame.

    Raises:
        typer.Exit: the task ended with an error.
    """
    for event in client.stream_task(task_id):
        match event.frame:
            case models.TokenFrame(t=text):
                typer.echo(text, nl=False)
                sys.stdout.flush()
            case models.ErrorFrame() as error:
                _tell("error", msgspec.to_builtins(error))
                raise typer.Exit(EXIT_FAIL)
            case frame:
                _tell(event.event, msgspec.to_builtins(frame))
    typer.echo()


def _place(of: models.AdmissionResponse | models.TaskStatus) -> dict[str, object]:
    return {"queue_position": of.queue_position, "predicted_start_ms": of.predicted_start_ms}


def _tell(what: str, figures: dict[str, object]) -> None:
    shown = "  ".join(
        f"{name} {value if isinstance(value, str) else json.dumps(value)}" for name, value in figures.items()
    )
    typer.echo(f"{what}: {shown}", err=True)


def _fail(url: str, error: Exception) -> NoReturn:
    if isinstance(error, httpx.TransportError):
        typer.echo(f"{url} cannot be reached: {error}", err=True)
        raise typer.Exit(EXIT_COULD_NOT_RUN) from None
    wait = f"; again in {error.retry_after_ms} ms" if isinstance(error, ApiError) and error.retry_after_ms else ""
    typer.echo(f"{error}{wait}", err=True)
    raise typer.Exit(EXIT_FAIL) from None


if __name__ == "__main__":
    app(prog_name="llama-orch")
