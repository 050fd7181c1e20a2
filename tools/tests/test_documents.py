"""The commands of the README and of CONTRIBUTING: all exist, and those that a new user types first are run."""

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from harness.process import Process
from tools import documents

ROOT = Path(__file__).resolve().parents[2]
BIN = Path(sys.executable).parent
README = ROOT / "README.md"
AS_WRITTEN = "http://127.0.0.1:8080"  # the address of the examples; a test takes a free port instead
READY_MS, RUN_S = 60_000, 120
SECRET = "of-this-test"


@pytest.mark.slow
@pytest.mark.req("OC-TEST-7040")
def test_every_command_of_the_documents_exists() -> None:
    assert [] == documents.problems(ROOT)


@pytest.mark.req("OC-TEST-7040", "OC-TEST-7006")
@pytest.mark.parametrize(
    ("text", "problem"),
    [
        pytest.param("```sh\nllama-orch measure\n```\n", "README.md:2: llama-orch has no verb measure", id="verb"),
        pytest.param(
            "\n`llama-orch metrics lnt x`\n", "README.md:2: llama-orch metrics has no verb lnt", id="2nd-verb"
        ),
        pytest.param(
            "```sh\nX=1 .venv/bin/llama-orch metrics lint \\\n  x --nope=1\n```\n",
            "README.md:2: llama-orch metrics lint has no option --nope",
            id="option",
        ),
        pytest.param("`python -m tools polish`", "README.md:1: python -m tools has no verb polish", id="tools-verb"),
        pytest.param(
            "`python -m tools gen --chek`", "README.md:1: python -m tools gen has no option --chek", id="tools"
        ),
        pytest.param("```sh\npython -m pytest -m imaginary\n```\n", "README.md:2: no such mark: imaginary", id="mark"),
        pytest.param(
            "```sh\nmake test\nllama-orch metrics lint contracts/none.txt\n```\n",
            "README.md:3: no such file: contracts/none.txt",
            id="file",
        ),
        pytest.param(
            "```sh\nnpm test\n```\n", "README.md:2: no program that a reader has or gets here: npm", id="program"
        ),
        pytest.param("```sh\nmake 'test\n```\n", "README.md:2: no program that a reader", id="open-quote"),
        pytest.param("`python -m tools.none x`", None, id="a-span-that-is-no-command-of-ours"),
    ],
)
def test_a_stale_command_is_found(tmp_path: Path, text: str, problem: str | None) -> None:
    (tmp_path / "README.md").write_text(text)
    for package in ("harness", "tools", "contracts"):
        (tmp_path / package).symlink_to(ROOT / package)

    found = documents.problems(tmp_path, ["README.md"])

    assert [problem] == [line[: len(problem or "")] for line in found] or (problem is None and not found)


# ── run as they stand ──


@contextmanager
def serving(folder: Path, token: str = "") -> Iterator[str]:
    """The server that the README starts, on a free port and with a state folder of its own."""
    (serve,) = (c for c in documents.commands(README.read_text()) if c.text == ".venv/bin/llama-orch serve")
    command = [str(BIN / "llama-orch"), *serve.words[1:], "--port", "0"]
    server = Process(command, folder=folder, env={"XDG_STATE_HOME": str(folder), "LLORCH_API_TOKEN": token})
    server.wait_ready(lambda: server.stdout.read_text().endswith("\n"), deadline_ms=READY_MS)
    try:
        yield str(json.loads(server.stdout.read_text())["url"])
    finally:
        server.stop(deadline_ms=15_000)


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Without a token, as it comes."""
    with serving(tmp_path_factory.mktemp("readme")) as address:
        yield address


def run(command: documents.Command, url: str, *more: str, token: str = "") -> subprocess.CompletedProcess[str]:
    """A command of the documents as it stands there, but for the address, and with options that shorten it."""
    words = [word.replace(AS_WRITTEN, url) for word in (*command.words, *more)]
    if words[0].startswith(".venv/bin/"):
        words[0] = str(BIN / Path(words[0]).name)
    env = {**os.environ, "LLORCH_API_TOKEN": token}
    return subprocess.run(words, cwd=ROOT, capture_output=True, text=True, check=False, timeout=RUN_S, env=env)


def of_the_readme(beginning: str) -> list[documents.Command]:
    """Its commands that begin so."""
    found = [c for c in documents.commands(README.read_text()) if " ".join(c.words).startswith(beginning)]
    assert found, f"README.md has no command that begins with {beginning!r}"
    return found


@pytest.mark.req("OC-TEST-7040", "HME-003")
def test_the_first_task_of_the_readme_is_admitted_and_streamed(url: str) -> None:
    submit, stream = of_the_readme("curl")

    admitted, streamed = run(submit, url), run(stream, url)

    assert "queue_position" in json.loads(admitted.stdout), admitted
    assert "event: started" in streamed.stdout
    assert "event: end" in streamed.stdout


@pytest.mark.req("OC-TEST-7040", "ORCH-3101")
def test_the_client_of_the_readme_reads_the_same_stream(url: str) -> None:
    submit, _ = of_the_readme("curl")
    (program,) = re.findall(r"^```python\n(.*?)^```$", README.read_text(), re.MULTILINE | re.DOTALL)
    run(submit, url)  # again, or for the first time: the same body is the same task

    read = run(documents.Command(0, (sys.executable, "-c", program.replace(AS_WRITTEN, url)), program), url)

    lines = read.stdout.splitlines()
    assert (0, True, True) == (read.returncode, "StartedFrame" in lines[0], "EndFrame" in lines[-1]), read


@pytest.mark.req("OC-TEST-7040", "OC-METRICS-7120")
def test_the_metrics_of_the_readme_pass(url: str) -> None:
    (lint,) = of_the_readme(".venv/bin/llama-orch metrics lint")

    done = run(lint, url, "--watch", "0")

    assert (0, True) == (done.returncode, "PASS" in done.stdout), done.stdout + done.stderr


@pytest.mark.slow
@pytest.mark.req("OC-TEST-7040")
def test_the_conform_command_of_the_readme_passes_the_reference_server(tmp_path: Path) -> None:
    conform = next(c for c in of_the_readme(".venv/bin/llama-orch conform") if "--url" in c.words)

    with serving(tmp_path, token=SECRET) as url:
        words = tuple(url if word.startswith("http://") else word for word in conform.words)
        done = run(documents.Command(conform.line, words, conform.text), url, token=SECRET)

    assert 0 == done.returncode, done.stdout + done.stderr
