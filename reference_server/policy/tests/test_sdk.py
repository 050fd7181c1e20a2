"""The SDK and its examples, built by the compiler that its header names: a C compiler that comes as a wheel."""

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from reference_server.policy.fetch_rules import TOOL_VERSION
from reference_server.policy.plugin import ABI, Bounds
from reference_server.policy.sandbox import Plugin

SDK = Path(__file__).parent.parent / "sdk"
README = Path(__file__).parents[3] / "README.md"
EXAMPLES = sorted((SDK / "examples").glob("*.c"))
HEADER = (SDK / "llorch_policy.h").read_text(encoding="utf-8")
FLAGS = (
    "-target",
    "wasm32-freestanding",
    "-nostdlib",
    "-O2",
    "-Wall",
    "-Wextra",
    "-Werror",
    "-Wl,--no-entry,--strip-all",
)

PATIENT = Bounds(wall_ms=30_000)  # what plugins answer is looked at here; on a busy machine the usual bound ends some

# Gives back what the SDK read of an admission, so that it can be compared with what was written.
MIRROR = """
static llp_answer decide(llp_text document) {
    llp_admission a;
    if (!llp_admission_of(document, &a)) return llp_allow();
    return a.task.max_tokens == a.pool.slots_free ? llp_deny_text(a.task.model_ref) : llp_deny("numbers differ");
}
LLP_PLUGIN("mirror", "0.1.0", decide)
"""


def built(source: Path, folder: Path) -> bytes:
    target = folder / f"{source.stem}.wasm"
    command = [sys.executable, "-m", "ziglang", "cc", *FLAGS, str(source), "-o", str(target)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert 0 == done.returncode, done.stderr
    return target.read_bytes()


def plugin(name: str) -> Plugin:
    return Plugin((SDK / "examples" / f"{name}.wasm").read_bytes(), PATIENT)


def decision(of: Plugin, **document: object) -> dict[str, str]:
    answer: dict[str, str] = json.loads(of.decide(json.dumps({"abi": "1.0", **document}).encode()))
    return answer


@pytest.fixture(scope="module")
def mirror(tmp_path_factory: pytest.TempPathFactory) -> Plugin:
    folder = tmp_path_factory.mktemp("mirror")
    source = folder / "mirror.c"
    source.write_text(f'#include "{SDK / "llorch_policy.h"}"\n{MIRROR}')
    return Plugin(built(source, folder), PATIENT)


@pytest.mark.req("ORCH-3048", "OC-POLICY-SDK-4110")
@pytest.mark.parametrize("source", EXAMPLES, ids=lambda path: path.stem)
def test_an_example_is_what_its_source_builds(source: Path, tmp_path: Path) -> None:
    assert source.with_suffix(".wasm").read_bytes() == built(source, tmp_path), "build it again, as the header says"


@pytest.mark.req("OC-POLICY-SDK-4111")
def test_the_readmes_plugin_is_an_example() -> None:
    shown = re.findall(r"^```c\n(.*?)^```$", README.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)

    assert 1 == len(shown)
    assert any(shown[0] in source.read_text(encoding="utf-8") for source in EXAMPLES)


@pytest.mark.req("OC-POLICY-SDK-4110")
@pytest.mark.parametrize("source", EXAMPLES, ids=lambda path: path.stem)
def test_what_the_sdk_builds_imports_nothing(source: Path) -> None:
    import wasmtime

    module = wasmtime.Module(wasmtime.Engine(), source.with_suffix(".wasm").read_bytes())
    assert [] == list(module.imports)


def sections(changes: str) -> dict[str, str]:
    """What CHANGES.md says of each version, newest first."""
    parts = re.split(r"^## (\d+\.\d+\.\d+)$", changes, flags=re.MULTILINE)
    return dict(zip(parts[1::2], parts[2::2], strict=True))


def untold(changes: str, version: str) -> list[str]:
    """What a change log owes a plugin's author."""
    told = sections(changes)
    order = [tuple(map(int, one.split("."))) for one in told]
    wrong = [f"{version} is not its newest entry"] if next(iter(told), None) != version else []
    wrong += ["its entries are not in order"] if order != sorted(order, reverse=True) else []
    wrong += [f"{one} says nothing" for one, text in told.items() if not text.strip()]
    breaking = [one for one in told if one.endswith(".0.0") and one != "1.0.0"]
    return wrong + [f"{one} breaks, and has no migration note" for one in breaking if not _migration(told[one])]


def _migration(text: str) -> str:
    return text.partition("### Migration\n")[2].partition("\n### ")[0].strip()


@pytest.mark.req("OC-POLICY-SDK-4101", "OC-POLICY-SDK-4102", "OC-POLICY-4001")
def test_the_version_is_the_abis_and_its_changes_are_told() -> None:
    (version,) = re.findall(r'#define LLP_SDK_VERSION "([^"]+)"', HEADER)
    major, minor = (int(re.findall(rf"#define LLP_ABI_{part} (\d+)", HEADER)[0]) for part in ("MAJOR", "MINOR"))
    (tool,) = re.findall(r'#define LLP_FETCH_TOOL "([^"]+)"', HEADER)

    assert ABI == (major, minor)
    assert version.startswith(f"{major}.{minor}.")
    assert f"Version {version}, by semantic versioning" in HEADER
    assert TOOL_VERSION == tool
    assert [] == untold((SDK / "CHANGES.md").read_text(encoding="utf-8"), version)


@pytest.mark.req("OC-POLICY-SDK-4102")
@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ("## 2.0.0\n\nAll is new.\n\n## 1.0.0\n\nFirst.\n", "2.0.0 breaks, and has no migration note"),
        ("## 2.0.0\n\n### Migration\n\n### Else\n\nx\n\n## 1.0.0\n\nFirst.\n", "2.0.0 breaks, and has no migration"),
        ("## 1.9.0\n\nOld.\n", "2.0.0 is not its newest entry"),
        ("## 2.0.0\n\n### Migration\n\nDo.\n\n## 3.0.0\n\n### Migration\n\nDo.\n", "not in order"),
        ("## 2.0.0\n\n## 1.0.0\n\nFirst.\n", "2.0.0 says nothing"),
    ],
)
def test_a_change_log_that_keeps_something_back_is_found(changes: str, says: str) -> None:
    assert any(says in wrong for wrong in untold(changes, "2.0.0"))
    assert [] == untold("## 2.0.0\n\n### Migration\n\nWrite b for a.\n\n## 1.0.0\n\nFirst.\n", "2.0.0")


@pytest.mark.req("OC-POLICY-SDK-4111", "OC-POLICY-4001")
@pytest.mark.parametrize(
    ("task", "waiting", "expected"),
    [
        ({"priority": "batch", "max_tokens": 512}, 0, "allow"),
        ({"priority": "batch", "max_tokens": 513}, 0, "deny"),
        ({"priority": "interactive", "max_tokens": 4096}, 99, "allow"),
        ({"priority": "interactive", "max_tokens": 1}, 100, "deny"),
    ],
)
def test_the_token_cap_decides(task: dict[str, object], waiting: int, expected: str) -> None:
    pool = {"id": "p", "queue_depth_interactive": waiting, "queue_depth_batch": 0}

    assert expected == decision(plugin("token_cap"), hook="admission", task=task, pool=pool)["decision"]


@pytest.mark.req("OC-POLICY-SDK-4111")
def test_pack_and_stay_hints_at_the_fullest_replica_with_room_and_keeps_traffic_in() -> None:
    subject = plugin("pack_and_stay")
    replicas = [
        {"replica_id": "a", "is_ready": True, "slots_active": 1, "slots_total": 4, "vram_free_bytes": 0},
        {"replica_id": "b", "is_ready": True, "slots_active": 3, "slots_total": 4, "vram_free_bytes": 0},
        {"replica_id": "c", "is_ready": True, "slots_active": 4, "slots_total": 4, "vram_free_bytes": 0},
        {"replica_id": "d", "is_ready": False, "slots_active": 3, "slots_total": 4, "vram_free_bytes": 0},
    ]
    asked = {"purpose": "model", "scheme": "https", "port": 443}

    assert {"decision": "hint", "replica_id": "b"} == decision(subject, hook="placement", task={}, replicas=replicas)
    assert {"decision": "none"} == decision(subject, hook="placement", task={}, replicas=[])
    for host, expected in (("hub.internal.example", "allow"), ("internal.example", "deny"), ("evil.example", "deny")):
        assert expected == decision(subject, hook="outbound", request={**asked, "host": host})["decision"]


def admission(model_ref: str, number: int) -> dict[str, object]:
    noise = {"z": [1, {"max_tokens": 7, "model_ref": "wrong"}], "max_tokens2": 9}
    return {
        "noise": noise,
        "hook": "admission",
        "task": {"noise": noise, "model_ref": model_ref, "max_tokens": number},
        "pool": {"slots_free": number, "model_ref": "wrong"},
    }


@pytest.mark.req("OC-POLICY-SDK-4111")
@settings(max_examples=200, deadline=None)
@given(
    model_ref=st.text(st.characters(min_codepoint=32, exclude_characters='"\\', exclude_categories=("Cs", "Cc"))),
    number=st.integers(-(10**17), 10**17),
    indent=st.sampled_from([None, 1]),
)
def test_what_was_written_is_what_the_sdk_reads(
    mirror: Plugin, model_ref: str, number: int, indent: int | None
) -> None:
    raw = json.dumps(admission(model_ref, number), indent=indent, ensure_ascii=False).encode()
    reason = json.loads(mirror.decide(raw))["reason"]

    assert reason != "numbers differ"
    if not re.search(r"[A-Za-z0-9_-]{20}", model_ref):  # those the redaction hook may change
        assert model_ref.startswith(reason)
        assert len(reason) == len(model_ref) or len(reason.encode()) > 900


@pytest.mark.req("OC-POLICY-SDK-4111")
@settings(max_examples=200, deadline=None)
@given(st.binary(max_size=300) | st.text('{}[]",:\\ hookadmission0123').map(str.encode))
def test_what_is_no_json_is_read_as_nothing_and_answered(mirror: Plugin, raw: bytes) -> None:
    assert json.loads(mirror.decide(raw))["decision"] in {"allow", "deny"}


@pytest.mark.req("OC-POLICY-SDK-4112")
def test_the_redaction_hook_runs_before_a_text_leaves(mirror: Plugin, tmp_path: Path) -> None:
    key = "sk_live_4242424242424242abcdef"
    raw = json.dumps(admission(f"model {key} of acme", 1)).encode()
    own = tmp_path / "own.c"
    own.write_text(
        "static void shout(char *t, unsigned n) { for (unsigned i = 0; i < n; i++) if (t[i] == 'a') t[i] = 'A'; }\n"
        f'#define LLP_REDACT shout\n#include "{SDK / "llorch_policy.h"}"\n{MIRROR}'
    )

    assert f"model {'*' * len(key)} of acme" == json.loads(mirror.decide(raw))["reason"]
    assert (
        f"model {key} of Acme".replace("a", "A")
        == json.loads(Plugin(built(own, tmp_path), PATIENT).decide(raw))["reason"]
    )


# Asks for what the task names; once it has an answer, denies with the last line of the body that the SDK made of it.
FETCHES = """
static char room[4096];
static llp_answer decide(llp_text document) {
    llp_admission a;
    llp_fetched f;
    if (!llp_admission_of(document, &a)) return llp_allow();
    if (!llp_fetched_of(document, &f)) return llp_fetch_text(a.task.model_ref);
    if (!llp_is_ok(&f)) return llp_deny_text(f.reason);
    llp_text text = llp_unescaped(f.body, room, sizeof room), line, last = {0, 0};
    for (uint32_t at = 0; (line = llp_next_line(text, &at)).at;) last = line;
    return llp_same(last, a.task.session_id) ? llp_allow() : llp_deny_text(last);
}
LLP_PLUGIN("fetches", "0.1.0", decide)
"""


@pytest.fixture(scope="module")
def fetches(tmp_path_factory: pytest.TempPathFactory) -> Plugin:
    folder = tmp_path_factory.mktemp("fetches")
    source = folder / "fetches.c"
    source.write_text(f'#include "{SDK / "llorch_policy.h"}"\n{FETCHES}')
    return Plugin(built(source, folder), PATIENT)


@pytest.mark.req("OC-POLICY-SDK-4111", "OC-POLICY-SDK-4112")
@pytest.mark.parametrize(
    ("url", "asked"),
    [
        ("https://a.example/list.txt", "https://a.example/list.txt"),
        ("https://lists-of-models-7.region-1.example/x", "https://lists-of-models-7.region-1.example/x"),
        ("https://a.example/" + "k1" * 12, "https://a.example/" + "*" * 24),
        ("https://a.example?key=" + "k1" * 12, "https://a.example?key=" + "*" * 24),
        ("https://a.example/" + "x/" * 441, "https://a.example/" + "x/" * 441),
        ("https://a.example/" + "x/" * 442, ""),
    ],
    ids=["plain", "a-long-host-is-no-key", "key-in-the-path", "key-in-the-query", "as-long-as-may-be", "too-long"],
)
def test_a_fetch_is_asked_for_with_its_path_and_query_redacted(fetches: Plugin, url: str, asked: str) -> None:
    found = decision(fetches, hook="admission", task={"model_ref": url}, pool={})

    assert {"decision": "fetch", "tool": TOOL_VERSION, "url": asked} == found


@pytest.mark.req("OC-POLICY-SDK-4111")
@pytest.mark.parametrize(
    ("fetched", "expected"),
    [
        ({"outcome": "answered", "status": 200, "body": "a\r\nb\n"}, {"decision": "deny", "reason": "b"}),
        ({"outcome": "answered", "status": 200, "body": "a\nme"}, {"decision": "allow"}),
        ({"outcome": "answered", "status": 404, "body": "x", "reason": ""}, {"decision": "deny", "reason": ""}),
        ({"outcome": "refused", "status": None, "reason": "no domain"}, {"decision": "deny", "reason": "no domain"}),
    ],
)
def test_what_came_of_a_fetch_is_read(fetches: Plugin, fetched: dict[str, object], expected: dict[str, str]) -> None:
    task = {"model_ref": "x", "session_id": "me"}

    assert expected == decision(fetches, hook="admission", task=task, pool={}, fetched=fetched)


@pytest.mark.req("OC-POLICY-SDK-4111")
@settings(max_examples=200, deadline=None)
@given(
    body=st.text(st.characters(codec="utf-8", exclude_characters="\n\r"), min_size=1, max_size=150),
    is_ascii=st.booleans(),
)
def test_an_answers_escapes_are_resolved(fetches: Plugin, body: str, is_ascii: bool) -> None:
    """The SDK's reading of a body is Python's: it allows exactly where both have the same text."""
    document = {
        "hook": "admission",
        "task": {"model_ref": "x", "session_id": "SAME"},
        "fetched": {"outcome": "answered", "status": 200, "body": body},
    }
    raw = json.dumps(document, ensure_ascii=is_ascii).encode()
    plain = not any(character in '"\\' or ord(character) < 32 for character in body)
    if plain:  # a text that JSON writes as it is can stand on both sides
        raw = raw.replace(b"SAME", body.encode())
        assert {"decision": "allow"} == json.loads(fetches.decide(raw))
        return
    told = json.loads(fetches.decide(raw))["reason"]
    expected = "".join(" " if character in '"\\' or ord(character) < 32 else character for character in body)
    if not re.search(r"[A-Za-z0-9_-]{20}", body):
        assert expected == told


@pytest.mark.req("OC-POLICY-SDK-4111")
@settings(max_examples=200, deadline=None)
@given(st.text('\\\\u"0dD8cCnx{}:,', max_size=40))
def test_any_escapes_are_answered(fetches: Plugin, body: str) -> None:
    raw = (
        b'{"hook":"admission","task":{},"fetched":{"outcome":"answered","status":200,"body":"' + body.encode() + b'"}}'
    )

    assert json.loads(fetches.decide(raw))["decision"] in {"allow", "deny", "fetch"}  # what is no JSON has no `fetched`
