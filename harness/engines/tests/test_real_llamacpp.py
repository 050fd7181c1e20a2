"""What is installed is asked of the reference server, and what is missing is said with the command that gets it."""

import hashlib
import json
import subprocess
import sys
from pathlib import Path

import pytest

from harness.engines import installed as installs
from harness.engines.real_llamacpp import Installed, busy_slots, completion, installed
from harness.target import CannotRunError
from harness.tests.tiny_server import TinyServer, answer

INSTALL_S = 3_600.0  # a build on two cores, where the cache has none

ENGINE = {"engine": "llamacpp", "binary": "/bin/llama-server"}
MODEL = {"id": "small", "path": "/models/small.gguf"}


def listing(monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    monkeypatch.setattr(installs, "LIST", (sys.executable, "-c", f"print({text!r})"))


@pytest.mark.req("ORCH-3051")
def test_the_last_engine_and_model_of_the_list_are_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    old = {"engine": "llamacpp", "binary": "/bin/old"}
    listing(monkeypatch, json.dumps({"engines": [old, ENGINE, {"engine": "vllm", "binary": "/x"}], "models": [MODEL]}))

    assert Installed("/bin/llama-server", "/models/small.gguf") == installed()


@pytest.mark.req("ORCH-3051", "OC-TEST-7009")
@pytest.mark.parametrize(
    ("text", "says"),
    [
        pytest.param('{"engines": [], "models": []}', "no llamacpp is installed; install it with", id="none"),
        pytest.param(json.dumps({"engines": [ENGINE], "models": []}), "no model is installed; install", id="no-model"),
        pytest.param("broken", "failed: broken", id="no-listing"),
    ],
)
def test_what_is_missing_is_said_with_the_way_to_get_it(monkeypatch: pytest.MonkeyPatch, text: str, says: str) -> None:
    listing(monkeypatch, text)

    with pytest.raises(CannotRunError, match=says):
        installed()


@pytest.mark.req("ORCH-3017")
def test_busy_slots_are_counted() -> None:
    slots = json.dumps([{"id": 0, "is_processing": True}, {"id": 1, "is_processing": False}]).encode()
    with TinyServer(lambda sock, head: sock.sendall(answer("200 OK", slots))) as engine:
        assert 1 == busy_slots(engine.url)


@pytest.mark.req("ORCH-3051")
def test_the_engines_own_answer_is_its_content() -> None:
    body = json.dumps({"content": "hello"}).encode()
    with TinyServer(lambda sock, head: sock.sendall(answer("200 OK", body))) as engine:
        assert "hello" == completion(engine.url, {"prompt": "x"})


@pytest.mark.real_engine
@pytest.mark.req("HME-006")
def test_real_llama_server_and_model_are_installed_and_are_what_they_claim() -> None:
    """By the command itself; a second run finds all in place. The bytes are those of the manifests, and run."""
    command = (sys.executable, "-m", "reference_server", "engines", "install", "llamacpp", "--with-model")
    done = subprocess.run(command, capture_output=True, text=True, timeout=INSTALL_S, check=False)
    assert 0 == done.returncode, done.stderr
    engine, model = installs.installed_engine("llamacpp"), installs.listed()["models"][-1]

    version = subprocess.run([engine["binary"], "--version"], capture_output=True, text=True, timeout=60, check=False)

    assert engine["version"].removeprefix("b") in version.stdout + version.stderr
    for path, digest in ((engine["binary"], engine["digest"]), (model["path"], model["digest"])):
        with Path(path).open("rb") as handle:
            assert digest == "sha256:" + hashlib.file_digest(handle, "sha256").hexdigest(), path
