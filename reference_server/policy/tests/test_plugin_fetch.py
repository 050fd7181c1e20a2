"""Plugins that fetch, in a server process: the example as it is shipped, and what a fetch cannot be used for."""

import json
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import jsonschema_rs
import pytest

from reference_server.policy.tests.far_end import Answer, FarEnd, far_end
from reference_server.policy.tests.test_fetch import SCHEMA
from reference_server.policy.tests.test_hooks import refusal
from reference_server.policy.tests.test_sdk import SDK, built
from reference_server.tests.test_serve import call, server, task

PLANTED = "planted-secret-7d1f"
TEXT = {"Content-Type": "text/plain"}

# Denies with what it was told, so that a test sees it.
TELLS = """
static llp_answer decide(llp_text document) {
    llp_fetched f;
    if (!llp_fetched_of(document, &f)) return llp_fetch(LIST);
    return llp_deny_text(llp_is(f.outcome, "answered") ? f.body : f.reason);
}
LLP_PLUGIN("tells", "1.0.0", decide)
"""
ALWAYS = """
static llp_answer decide(llp_text document) { (void)document; return llp_fetch(LIST); }
LLP_PLUGIN("always", "1.0.0", decide)
"""
HINTS = """
static llp_answer decide(llp_text document) {
    llp_fetched f;
    llp_placement placed;
    if (!llp_placement_of(document, &placed)) return llp_allow();
    if (!llp_fetched_of(document, &f)) return llp_fetch(LIST);
    return llp_is_ok(&f) ? llp_hint(f.body) : llp_no_hint();
}
LLP_PLUGIN("hints", "1.0.0", decide)
"""


@contextmanager
def fetching(
    folder: Path,
    source: str,
    far: FarEnd,
    *hooks: str,
    fetch: dict[str, object] | None = None,
    outbound: dict[str, object] | None = None,
) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """A server with this plugin, built now, which fetches /list of the far end."""
    code = folder / "p.c"
    code.write_text(f'#define LIST "http://127.0.0.1:{far.port}/list"\n{source}')
    built(code, folder)
    rules = {"allow": [f"127.0.0.1:{far.port}"]} if fetch is None else fetch
    plugin = {
        "id": "watch",
        "file": str(folder / "p.wasm"),
        "hooks": list(hooks),
        "fetch": {"timeout_ms": 30_000, **rules},
        "wall_ms": 30_000,
    }
    mocks = [{"kind": "mock", "slots": 2, "token_ms": 5}] * 2
    way_out = {"schemes": ["http"], "private": ["127.0.0.1"], **(outbound or {})}
    config = folder / "c.yaml"
    config.write_text(json.dumps({"plugins": [plugin], "pools": [{"replicas": mocks}], "outbound": way_out}))
    with server("--config", str(config), LLAMA_ORCH_OFFLINE="", HF_TOKEN=PLANTED) as running:
        yield running


def with_header(source: str) -> str:
    return f'#include "{SDK / "llorch_policy.h"}"\n{source}'


EXAMPLE = (SDK / "examples" / "blocklist.c").read_text().replace("../llorch_policy.h", str(SDK / "llorch_policy.h"))


def audit(process: subprocess.Popen[str]) -> list[dict[str, Any]]:
    """The audit log of the server, which ends here; each line is as its schema says."""
    process.terminate()
    assert process.stderr is not None
    whole = process.stderr.read()
    assert PLANTED not in whole
    lines = [line for line in map(json.loads, whole.splitlines()) if line["event"] == "plugin fetch"]
    for line in lines:
        jsonschema_rs.validator_for(SCHEMA).validate(line)
    return lines


@pytest.mark.req("OC-POLICY-4030", "OC-POLICY-4033", "OC-POLICY-4034", "OC-POLICY-SDK-4111")
def test_the_example_refuses_what_the_list_names_and_every_fetch_is_in_the_log(tmp_path: Path) -> None:
    with far_end() as far, fetching(tmp_path, EXAMPLE, far, "admission") as (process, url):
        far.answers["/list"] = (200, TEXT, b"other\r\nanother\n")
        call(f"{url}/v1/tasks", task())
        far.answers["/list"] = (200, TEXT, 'λ "quoted"\ndefault'.encode())
        listed = refusal(url, task())
        far.answers["/list"] = (200, {"Content-Type": "text/html"}, b"<html>")
        unread = refusal(url, task())
        lines = audit(process)

    assert (403, "FORBIDDEN") == (listed[0], listed[1]["code"])
    assert "the list of blocked models names it" in listed[1]["message"]
    assert "cannot be read" in unread[1]["message"]
    assert ["answered", "answered", "refused"] == [line["outcome"] for line in lines]
    assert {("watch", "blocklist", "admission")} == {(x["plugin_id"], x["plugin_name"], x["hook"]) for x in lines}
    assert all(line["correlation_id"] for line in lines)


@pytest.mark.req("OC-POLICY-4031", "OC-POLICY-4034")
def test_a_plugin_is_told_no_secret_of_the_server(tmp_path: Path) -> None:
    with far_end() as far, fetching(tmp_path, with_header(TELLS), far, "admission") as (process, url):
        far.answers["/list"] = (200, TEXT, f"key {PLANTED} end".encode())
        _, envelope = refusal(url, task())
        lines = audit(process)

    assert envelope["message"].endswith("key [redacted] end")
    assert [1] == [line["redactions"] for line in lines]


@pytest.mark.req("OC-POLICY-4034")
def test_a_hint_may_come_from_a_fetch(tmp_path: Path) -> None:
    with far_end() as far, fetching(tmp_path, with_header(HINTS), far, "placement") as (_, url):
        far.answers["/list"] = (200, TEXT, b"default-1")
        body = task()
        call(f"{url}/v1/tasks", body)
        frames = call(f"{url}/v1/tasks/{body['task_id']}/stream").decode()

    assert '"replica_id":"default-1"' in frames.replace(" ", "")


@pytest.mark.req("OC-POLICY-4034", "OC-POLICY-4035", "OC-POLICY-4012")
@pytest.mark.parametrize(
    ("source", "fetch", "says", "fetched"),
    [
        pytest.param(ALWAYS, None, "a fetch that it may not have here", 1, id="a-second-fetch"),
        pytest.param(TELLS, {}, "a fetch that it may not have here", 0, id="nothing-configured"),
    ],
)
def test_a_fetch_that_is_not_its_own_to_ask_for_is_a_failure_of_the_plugin(
    tmp_path: Path, source: str, fetch: dict[str, object] | None, says: str, fetched: int
) -> None:
    with far_end() as far, fetching(tmp_path, with_header(source), far, "admission", fetch=fetch) as (process, url):
        far.answers["/list"] = (200, TEXT, b"x")
        status, envelope = refusal(url, task())
        assert json.loads(call(f"{url}/v1/capabilities"))["engines"]
        lines = audit(process)

    assert (500, "INTERNAL", "watch") == (status, envelope["code"], envelope["policy_label"])
    assert says in envelope["message"]
    assert (fetched, fetched) == (len(lines), len(far.asked))


@pytest.mark.req("OC-POLICY-4034", "OC-POLICY-4046", "OC-POLICY-4035")
def test_a_plugin_that_wants_a_fetch_before_it_lets_a_fetch_out_refuses_it(tmp_path: Path) -> None:
    """Else its own fetch would be asked of it, without end."""
    with (
        far_end() as far,
        fetching(tmp_path, with_header(TELLS), far, "admission", "outbound") as (process, url),
    ):
        _, envelope = refusal(url, task())
        lines = audit(process)

    assert "outbound policy" in envelope["message"]
    assert "a fetch that it may not have here" in envelope["message"]
    assert ["refused"] == [line["outcome"] for line in lines]
    assert [] == far.asked


@pytest.mark.req("OC-POLICY-4032", "OC-POLICY-4036", "ORCH-3205")
@pytest.mark.parametrize(
    ("fetch", "outbound", "says"),
    [
        pytest.param({"body_bytes_max": 3}, {}, "larger than 3 bytes", id="size"),
        pytest.param({"per_minute": 0.01, "burst": 1}, {}, "too many fetches", id="rate"),
        pytest.param({"mime_allow": ["application/*"]}, {}, "the answer is text/plain", id="mime"),
        pytest.param({"mime_allow": ["*/*"], "mime_deny": ["text/*"]}, {}, "the answer is text/plain", id="mime-deny"),
        pytest.param({"deny": ["127.0.0.0/8"]}, {}, "may not fetch from", id="domain"),
        pytest.param({"redact": ["some [a-z]+"]}, {}, ": [redacted]", id="redact"),
        pytest.param({}, {"enabled": False}, "switched off", id="off"),
        pytest.param({}, {"private": []}, "lies inside this host", id="private"),
    ],
)
def test_each_bound_of_the_configuration_holds(
    tmp_path: Path, fetch: dict[str, object], outbound: dict[str, object], says: str
) -> None:
    with far_end() as far:
        rules = {"allow": ["127.0.0.1"], **fetch}
        with fetching(tmp_path, with_header(TELLS), far, "admission", fetch=rules, outbound=outbound) as (_, url):
            far.answers["/list"] = (200, TEXT, b"some text")
            told = [refusal(url, task())[1]["message"] for _ in range(2)]

    assert says in told[1]
    assert (says == "too many fetches") == ("some text" in told[0])


@pytest.mark.req("OC-POLICY-4036")
def test_the_deadline_of_the_configuration_holds(tmp_path: Path) -> None:
    gone = threading.Event()

    def never(_: object) -> Answer:
        gone.wait(30)
        return 200, TEXT, b"late"

    rules = {"allow": ["127.0.0.1"], "timeout_ms": 250}
    with far_end() as far, fetching(tmp_path, with_header(TELLS), far, "admission", fetch=rules) as (_, url):
        far.answers["/list"] = never
        _, envelope = refusal(url, task())
        gone.set()

    assert "there was no whole answer within 250 ms" in envelope["message"]


@pytest.mark.req("OC-POLICY-4034")
def test_a_task_that_waits_for_a_fetch_holds_up_no_other_call(tmp_path: Path) -> None:
    reached, release = threading.Event(), threading.Event()

    def slow(_: object) -> Answer:
        reached.set()
        release.wait(20)
        return 200, TEXT, b"late"

    told: list[str] = []
    rules = {"allow": ["127.0.0.1"], "timeout_ms": 30_000}
    with far_end() as far:
        far.answers["/list"] = slow
        with fetching(tmp_path, with_header(TELLS), far, "admission", fetch=rules) as (_, url):
            waiting = threading.Thread(target=lambda: told.append(refusal(url, task())[1]["message"]))
            waiting.start()
            assert reached.wait(20)
            assert b"llamacpp" in call(f"{url}/v1/capabilities")  # while the other one waits
            release.set()
            waiting.join(20)

    assert told[0].endswith("late")
