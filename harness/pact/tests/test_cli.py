"""`llama-orch pact verify` as its users call it, on stand-in engines."""

import json
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest
from typer.testing import CliRunner, Result

from harness.cli import app
from harness.engines.llamacpp import LlamaCppFormat
from harness.engines.stand_in import STATE_PATH, StandIn, stand_in
from harness.engines.vllm import VllmFormat
from harness.outcome import Outcome
from harness.pact import verify as verifier
from harness.pact.cli import EXIT_COULD_NOT_RUN
from harness.pact.pact_file import load
from harness.registry.check import slug
from harness.registry.evidence import EVIDENCE_ENV, read
from harness.tests.tiny_server import EVENT_STREAM, TinyServer, answer, chunk

PASS, FAIL, USAGE = 0, 1, 2
LLAMA = len(load("llamacpp").interactions)
VERIFY = ("pact", "verify", "llamacpp", "--only", "a question for its health")
UNTESTABLE = 5  # loading twice, a stream that fails, embeddings, reranks


@pytest.fixture(scope="module")
def llama() -> Iterator[StandIn]:
    with stand_in(LlamaCppFormat()) as engine:
        yield engine


def pact(*arguments: str | Path) -> Result:
    return CliRunner().invoke(app, ["pact", "verify", *map(str, arguments)])


@pytest.mark.req("OC-TEST-7031")
def test_stand_in_with_every_state_passes_with_a_verdict_for_each_interaction(llama: StandIn, tmp_path: Path) -> None:
    done = pact("llamacpp", "--url", llama.url, "--state-url", llama.url + STATE_PATH, "--json", tmp_path / "all.json")
    report = json.loads((tmp_path / "all.json").read_text(encoding="utf-8"))

    assert PASS == done.exit_code, done.output
    assert {"PASS": LLAMA} == report["counts"]
    assert [entry.description for entry in load("llamacpp").interactions] == [
        entry["description"] for entry in report["interactions"]
    ]


@pytest.mark.req("OC-TEST-7032")
def test_states_that_nobody_can_bring_about_are_not_testable_and_not_passed(llama: StandIn, tmp_path: Path) -> None:
    files = ("--json", tmp_path / "r.json", "--junit", tmp_path / "r.xml")
    done, strict = pact("llamacpp", "--url", llama.url, *files), pact("llamacpp", "--url", llama.url, "--strict")
    suite = ET.parse(tmp_path / "r.xml").getroot()  # noqa: S314 - our own file

    assert (PASS, FAIL) == (done.exit_code, strict.exit_code)
    assert f"{LLAMA} interactions: {LLAMA - UNTESTABLE} PASS, {UNTESTABLE} NOT_TESTABLE" in done.output
    counts = json.loads((tmp_path / "r.json").read_text(encoding="utf-8"))["counts"]
    assert {"PASS": LLAMA - UNTESTABLE, "NOT_TESTABLE": UNTESTABLE} == counts
    assert (str(LLAMA), str(UNTESTABLE)) == (suite.get("tests"), suite.get("skipped"))
    assert '"the model is still loading" cannot be brought about' in done.output


@pytest.mark.req("OC-TEST-7048")
def test_every_interaction_leaves_the_evidence_of_what_it_stands_for(
    llama: StandIn, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(EVIDENCE_ENV, str(tmp_path / "evidence"))
    pact("llamacpp", "--url", llama.url)
    found = list(read(tmp_path / "evidence"))

    wanted = [(entry.description, i) for entry in load("llamacpp").interactions for i in entry.requirements]
    assert [(f"pact/llamacpp-{slug(text)}", i) for text, i in wanted] == [(e.check, e.requirement) for e in found]
    verdicts = {line.check: line.verdict for line in found}
    assert Outcome.PASS is verdicts["pact/llamacpp-a-completion"]
    assert Outcome.NOT_TESTABLE is verdicts["pact/llamacpp-a-completion-while-it-loads"]


@pytest.mark.req("OC-TEST-7048")
def test_an_interaction_that_fails_says_what_differs_in_its_evidence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def wrong(sock: socket.socket, head: bytes) -> None:
        sock.sendall(answer("200 OK", b'{"count":"3"}', "Content-Type: application/json"))

    monkeypatch.setenv(EVIDENCE_ENV, str(tmp_path / "evidence"))
    with TinyServer(wrong) as engine:
        url = engine.url
        pact("vllm", "--url", url, "--model", "m", "--only", "a text to count")
    lines = list(read(tmp_path / "evidence"))

    assert {("pact/vllm-a-text-to-count-the-tokens-of", Outcome.FAIL)} == {(e.check, e.verdict) for e in lines}
    assert "$.count: Expected '3' (String) to be an integer" in lines[0].evidence
    assert f"repeat: llama-orch pact verify vllm --url {url}" in lines[0].evidence


@pytest.mark.req("OC-TEST-7032")
def test_nothing_that_could_be_tested_is_no_pass(llama: StandIn) -> None:
    assert EXIT_COULD_NOT_RUN == pact("llamacpp", "--url", llama.url, "--only", "while it loads").exit_code


@pytest.mark.req("OC-TEST-7031")
def test_a_failure_says_what_differs_and_how_to_repeat_it(tmp_path: Path) -> None:
    def wrong(sock: socket.socket, head: bytes) -> None:
        sock.sendall(answer("200 OK", b'{"count":"3"}', "Content-Type: application/json"))

    with TinyServer(wrong) as engine:
        url = engine.url
        options = ("--url", url, "--model", "m", "--only", "a text to count", "--junit", tmp_path / "r.xml")
        done = pact("vllm", *options)

    assert FAIL == done.exit_code
    assert "$.count: Expected '3' (String) to be an integer" in done.output
    assert f"pact verify vllm --url {url} --model m --only 'a text to count the tokens of'" in done.output
    assert "$.count" in (tmp_path / "r.xml").read_text(encoding="utf-8")


@pytest.mark.req("OC-TEST-7008")
def test_a_stream_that_never_ends_is_a_hang_of_that_interaction() -> None:
    def stall(sock: socket.socket, head: bytes) -> None:
        sock.sendall(EVENT_STREAM + chunk(b'data: {"content":"a","tokens_predicted":1,"stop":false}\n\n'))
        while sock.recv(1 << 16):
            pass

    def serve(sock: socket.socket, head: bytes) -> None:
        stall(sock, head) if b"POST" in head else sock.sendall(answer("200 OK", b""))

    with TinyServer(serve) as engine:
        done = pact("llamacpp", "--url", engine.url, "--limit-s", "1", "--only", "a completion")

    assert FAIL == done.exit_code
    assert "HANG a completion " in done.output


def test_an_engine_that_is_not_there_is_said_so_with_what_to_do() -> None:
    done = pact("llamacpp", "--url", "http://127.0.0.1:1")

    assert EXIT_COULD_NOT_RUN == done.exit_code
    assert "http://127.0.0.1:1 cannot be reached" in done.output
    assert "Is the engine running" in done.output


@pytest.mark.parametrize(
    ("arguments", "code", "told"),
    [
        pytest.param(("llamacpp", "--only", "nonsense"), USAGE, "no interaction of", id="nothing-selected"),
        pytest.param(("nothing",), USAGE, "'nothing' is not one of", id="no-such-engine"),
        pytest.param(
            ("llamacpp", "--api-key-env", "NOT_SET"), EXIT_COULD_NOT_RUN, "NOT_SET, which is not", id="no-key"
        ),
    ],
)
def test_wrong_usage_is_told(llama: StandIn, arguments: tuple[str, ...], code: int, told: str) -> None:
    done = pact(*arguments, "--url", llama.url)

    assert code == done.exit_code
    assert told in " ".join(done.output.replace("│", " ").split())


@pytest.mark.req("OC-ADAPT-5016")
def test_the_key_goes_to_the_engine_with_each_request(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ENGINE_KEY", "s3cret")
    with TinyServer(lambda sock, head: sock.sendall(answer("200 OK", b""))) as engine:
        done = pact(
            "llamacpp", "--url", engine.url, "--api-key-env", "ENGINE_KEY", "--only", "a question for its health"
        )

    assert [True] == [b"bearer s3cret" in head.lower() for head in engine.requests if b"/health" in head]
    assert "s3cret" not in done.output


def test_the_model_is_asked_of_the_engine_or_given() -> None:
    with stand_in(VllmFormat()) as engine:
        asked = pact("vllm", "--url", engine.url, "--only", "a text to count")
        given = pact("vllm", "--url", engine.url, "--only", "a completion by", "--model", "another")
        wrong = pact("vllm", "--url", engine.url, "--only", "a completion", "--model", "another")

    assert [PASS, PASS, FAIL] == [asked.exit_code, given.exit_code, wrong.exit_code]


@pytest.mark.req("OC-TEST-7032")
@pytest.mark.parametrize("state_url", ["http://127.0.0.1:1/x", "{engine}/nothing"], ids=["unreachable", "refuses"])
def test_an_address_for_states_that_does_not_work_makes_not_testable(llama: StandIn, state_url: str) -> None:
    url = state_url.replace("{engine}", llama.url)
    done = pact("llamacpp", "--url", llama.url, "--state-url", url, "--only", "a completion that fails")

    assert "NOT_TESTABLE a completion that fails" in done.output
    assert url in done.output


@pytest.mark.req("OC-TEST-7031", "OC-TEST-7006")
def test_a_verifier_that_leaves_an_interaction_out_is_noticed(llama: StandIn, monkeypatch: pytest.MonkeyPatch) -> None:
    """It passes in silence where it has nothing to do."""
    monkeypatch.setattr(verifier, "_run", lambda *_, **__: {"interactionResults": [], "result": True})
    done = pact("llamacpp", "--url", llama.url)

    assert EXIT_COULD_NOT_RUN == done.exit_code
    assert "0 results for 1 interaction" in done.output


def test_the_output_is_ours_alone(llama: StandIn) -> None:
    """The verifier is native code, and writes to the process's standard output unless it is kept from it."""
    command = [sys.executable, "-c", "from harness.cli import main; main()", *VERIFY, "--url", llama.url]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)

    assert Outcome.PASS in done.stdout
    assert "Verifying a pact" not in done.stdout + done.stderr
