"""The command line as somebody meets it who has not read the specification: what it says, and its exit codes."""

import hashlib
import json
import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner, Result

from reference_server import provision_cli
from reference_server.config import Outbound
from reference_server.policy.tests.far_end import Answer, Asked, FarEnd, far_end
from reference_server.provision import cache, network, room
from reference_server.provision.tests.test_model_sources import GGUF, digest, ranged

OUTBOUND = {"schemes": ["http"], "private": ["127.0.0.1"]}
PICKLE = b"\x80\x04weights"


@pytest.fixture
def far(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[FarEnd]:
    """A web server and an empty cache; the rules of a command are this process', and end with the test."""
    monkeypatch.setenv(cache.CACHE_ENV, str(tmp_path / "cache"))
    with far_end() as made:
        yield made
    network.follow(Outbound)


@pytest.fixture(params=[signal.SIGINT, signal.SIGTERM], ids=["ctrl-c", "terminated"])
def interrupt(request: pytest.FixtureRequest) -> Iterator[signal.Signals]:
    """A signal that this process does not mind, whatever it was started by."""
    number: signal.Signals = request.param
    before = signal.signal(number, lambda *_: None)
    yield number
    signal.signal(number, before)


def run(*arguments: str) -> Result:
    app = typer.Typer()
    provision_cli.add_to(app)
    return CliRunner().invoke(app, [*arguments])


def written(folder: Path, **settings: object) -> str:
    (folder / "c.yaml").write_text(json.dumps({"outbound": OUTBOUND, **settings}))
    return str(folder / "c.yaml")


@pytest.mark.req("ORCH-3042")
def test_a_fetch_by_hand_keeps_the_quota_of_its_configuration(far: FarEnd, tmp_path: Path) -> None:
    far.answers["/m.gguf"] = ranged(GGUF)
    config = written(tmp_path, models={"cache_bytes_max": 1_000})
    fetch = ("fetch", f"http://127.0.0.1:{far.port}/m.gguf", "--digest", digest(GGUF))

    refused = run("models", "--config", config, *fetch)
    assert 1 == refused.exit_code
    assert "raise `models.cache_bytes_max`" in refused.stderr
    assert [] == room.kept()
    assert 0 == run("models", "--config", written(tmp_path), *fetch).exit_code


@pytest.mark.req("ORCH-3042")
def test_an_interrupted_fetch_is_told_and_leaves_no_model(
    far: FarEnd, tmp_path: Path, interrupt: signal.Signals
) -> None:
    def interrupting(asked: Asked) -> Answer:
        os.kill(os.getpid(), interrupt)  # before the first byte of the answer
        return ranged(GGUF)(asked)

    far.answers["/m.gguf"] = interrupting
    fetch = ("fetch", f"http://127.0.0.1:{far.port}/m.gguf", "--digest", digest(GGUF))

    done = run("models", "--config", written(tmp_path), *fetch)
    assert (130, [], True) == (done.exit_code, room.kept(), "interrupted" in done.stderr), done.output
    far.answers["/m.gguf"] = ranged(GGUF)
    assert 0 == run("models", "--config", written(tmp_path), *fetch).exit_code


@pytest.mark.req("ORCH-3094")
@pytest.mark.parametrize(
    ("allowed", "option", "code"),
    [(False, (), 1), (True, (), 0), (False, ("--allow-pickle",), 0)],
    ids=["refused", "by-configuration", "by-option"],
)
def test_a_fetch_by_hand_takes_pickles_where_they_are_allowed(
    far: FarEnd, tmp_path: Path, *, allowed: bool, option: tuple[str, ...], code: int
) -> None:
    far.answers["/m.bin"] = ranged(PICKLE)
    config = written(tmp_path, models={"allow_pickle": allowed})
    text = f"http://127.0.0.1:{far.port}/m.bin"

    done = run("models", "--config", config, "fetch", text, "--digest", digest(PICKLE), *option)
    assert code == done.exit_code, done.stderr


@pytest.mark.req("OC-CONFIG-6026")
@pytest.mark.parametrize("wrong", ["", "abc", "sha256:00", "sha1:" + "0" * 64, "sha256:" + "G" * 64])
def test_a_digest_that_is_none_is_wrong_usage_and_nothing_is_asked(far: FarEnd, wrong: str) -> None:
    done = run("models", "fetch", f"http://127.0.0.1:{far.port}/m.gguf", "--digest", wrong)

    assert 2 == done.exit_code
    assert "64 hexadecimal digits" in done.stderr
    assert [] == far.asked


@pytest.mark.req("ORCH-3206")
@pytest.mark.parametrize("verb", ["plan", "install"])
def test_without_an_engine_and_a_configuration_it_says_what_to_name(verb: str) -> None:
    done = run("engines", verb)

    assert 2 == done.exit_code
    assert "name one of llamacpp, vllm, triton" in done.stderr
    assert "--config" in done.stderr
    assert "None" not in done.stderr


@pytest.mark.req("ORCH-3206", "ORCH-3201")
def test_a_pool_that_cannot_be_planned_hides_no_other(far: FarEnd, tmp_path: Path) -> None:
    replicas = [{"kind": "supervised", "model_file": "/m"}]
    sha256 = "sha256:" + hashlib.sha256(b"").hexdigest()
    right = {"mode": "binary", "url": "https://builds.example/llama-server", "sha256": sha256}
    wrong = {"mode": "package", "package": "vllm==0.1", "lock": str(tmp_path / "none.txt")}
    pools = [
        {"id": "wrong", "engine": "vllm", "model_ref": "a", "replicas": replicas, "provisioning": wrong},
        {"id": "right", "model_ref": "b", "replicas": replicas, "provisioning": right},
    ]
    config = written(tmp_path, experimental_cpu=True, pools=pools)

    done = run("engines", "--config", config, "plan")
    assert 1 == done.exit_code
    assert "llamacpp e3b0c4429" in done.stdout
    assert f"pool wrong: {tmp_path}/none.txt: the lock cannot be read: No such file or directory" in done.stderr
    assert 1 == run("engines", "--config", config, "install").exit_code
    assert [] == far.asked  # what can be known beforehand is known before anything is fetched


@pytest.mark.req("ORCH-3209")
@pytest.mark.parametrize(
    "verb",
    ["engines", "engines install", "engines plan", "engines list", "models", "models fetch", "models list", "doctor"],
)
def test_every_help_has_an_example(verb: str) -> None:
    done = run(*verb.split(), "--help")

    assert 0 == done.exit_code
    assert f"llama-orch {verb}" in done.stdout.partition("Example")[2]
