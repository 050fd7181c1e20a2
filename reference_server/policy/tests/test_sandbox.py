"""The sandbox: modules in WebAssembly's text form, each of which tries one thing that it must not get."""

import time

import pytest
import wasmtime
from hypothesis import given, settings
from hypothesis import strategies as st

from reference_server.policy.plugin import ABI, Bounds, PluginFailedError, PluginRefusedError
from reference_server.policy.sandbox import Plugin

DESCRIPTION = '{"name":"t","version":"1.0.0"}'
ANSWER = '{"decision":"allow"}'
TIGHT = Bounds(fuel=2_000_000, memory_bytes=1 << 20, wall_ms=2_000)


def module(
    *,
    decide: str = f"(i64.const {(64 << 32) | len(ANSWER)})",
    abi: int = 1 << 16,
    extra: str = "",
    imports: str = "",
    describe: str = f"(i64.const {(1024 << 32) | len(DESCRIPTION)})",
    pages: int = 1,
) -> bytes:
    """A plugin that allows everything, with one part replaced."""
    text = f"""(module {imports}
      (memory (export "memory") {pages})
      (data (i32.const 64) {_quoted(ANSWER)})
      (data (i32.const 1024) {_quoted(DESCRIPTION)})
      {extra}
      (func (export "llorch_abi") (result i32) (i32.const {abi}))
      (func (export "llorch_alloc") (param i32) (result i32) (i32.const 4096))
      (func (export "llorch_describe") (result i64) {describe})
      (func (export "llorch_decide") (param i32 i32) (result i64) {decide}))"""
    return bytes(wasmtime.wat2wasm(text))


def _quoted(text: str) -> str:
    return '"' + text.replace('"', '\\"') + '"'


def test_a_plugin_describes_itself_and_decides() -> None:
    plugin = Plugin(module(), TIGHT)

    assert ("t", "1.0.0") == (plugin.description.name, plugin.description.version)
    assert ANSWER.encode() == plugin.decide(b"{}")


LOOP = "(loop $l (br $l)) (i64.const 0)"
EATS = "(drop (memory.grow (i32.const 60000))) (i64.load (i32.const 0x10000000))"
BABBLES = f"(i64.const {(64 << 32) | 7})"  # the beginning of an answer


@pytest.mark.req("OC-POLICY-4011")
@pytest.mark.parametrize(
    ("decide", "bounds", "says"),
    [
        pytest.param(LOOP, TIGHT, "out of fuel", id="loops"),
        pytest.param(LOOP, Bounds(fuel=10**15, wall_ms=500), "out of time", id="loops-with-fuel"),
        pytest.param("unreachable", TIGHT, "trapped", id="traps"),
        pytest.param("(i64.load (i32.const 0x7fffffff))", TIGHT, "memory out of bounds", id="reads-outside"),
        pytest.param(
            "(if (i32.eq (memory.grow (i32.const 1000)) (i32.const -1)) (then unreachable)) (i64.const 0)",
            TIGHT,
            "trapped (unreachable)",
            id="eats-memory",
        ),
        pytest.param("(call $down) (i64.const 0)", TIGHT, "stack", id="recurses"),
        pytest.param(f"(i64.const {(65_530 << 32) | 100})", TIGHT, "outside its memory", id="points-outside"),
        pytest.param(f"(i64.const {(64 << 32) | 70_000})", TIGHT, "larger than", id="answers-too-much"),
        pytest.param("(i64.const 0)", TIGHT, "outside its memory", id="answers-nothing"),
    ],
)
def test_what_breaks_a_bound_costs_one_call(decide: str, bounds: Bounds, says: str) -> None:
    plugin = Plugin(module(decide=decide, extra="(func $down (call $down))"), bounds)
    for _ in range(2):  # the second time it is as it was
        began = time.monotonic()
        with pytest.raises(PluginFailedError, match=says.replace("(", r"\(").replace(")", r"\)")):
            plugin.decide(b"{}")
        assert time.monotonic() - began < 10

    assert ANSWER.encode() == Plugin(module(), TIGHT).decide(b"{}")


@pytest.mark.req("OC-POLICY-4002")
def test_nothing_is_remembered_from_call_to_call() -> None:
    counting = """
      (global.set $n (i32.add (global.get $n) (i32.const 1)))
      (i32.store8 (i32.const 64) (i32.add (i32.const 48) (global.get $n)))
      (i64.const 274877906945)"""
    plugin = Plugin(module(decide=counting, extra="(global $n (mut i32) (i32.const 0))"), TIGHT)

    assert [b"1", b"1", b"1"] == [plugin.decide(b"{}") for _ in range(3)]


@pytest.mark.req("OC-POLICY-4010")
@pytest.mark.parametrize(
    "name",
    ["path_open", "sock_send", "sock_accept", "clock_time_get", "random_get", "fd_read", "fd_readdir", "poll_oneoff"],
)
def test_files_network_clock_and_chance_are_refused_at_the_door(name: str) -> None:
    imports = f'(import "wasi_snapshot_preview1" "{name}" (func))'
    with pytest.raises(PluginRefusedError, match=name):
        Plugin(module(imports=imports), TIGHT)


@pytest.mark.req("OC-POLICY-4010")
def test_functions_of_the_host_are_refused_at_the_door() -> None:
    with pytest.raises(PluginRefusedError, match=r"env\.system"):
        Plugin(module(imports='(import "env" "system" (func (param i32) (result i32)))'), TIGHT)


@pytest.mark.req("OC-POLICY-4010")
def test_the_environment_is_empty(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LLORCH_API_TOKEN", "planted-7d1f")
    imports = '(import "wasi_snapshot_preview1" "environ_sizes_get" (func $sizes (param i32 i32) (result i32)))'
    count_and_size = """(drop (call $sizes (i32.const 64) (i32.const 68)))
      (i64.const 274877906952)"""
    plugin = Plugin(module(imports=imports, decide=count_and_size), TIGHT)

    assert bytes(8) == plugin.decide(b"{}")


@pytest.mark.req("OC-POLICY-4001")
@pytest.mark.parametrize(
    ("broken", "says"),
    [
        pytest.param({"abi": 2 << 16}, "built for ABI 2.0", id="another-major"),
        pytest.param({"abi": ABI[0] << 16 | ABI[1] + 1}, f"built for ABI {ABI[0]}.{ABI[1] + 1}", id="a-newer-minor"),
        pytest.param({"describe": "(i64.const 0)"}, "does not describe itself", id="no-description"),
        pytest.param({"describe": LOOP}, "out of fuel", id="loops-at-once"),
        pytest.param({"extra": "(func $s (loop $l (br $l))) (start $s)"}, "out of fuel", id="loops-at-its-start"),
        pytest.param({"pages": 1_000}, "could not be started", id="too-much-memory-at-once"),
    ],
)
def test_what_is_not_of_this_abi_is_refused_when_it_is_loaded(broken: dict[str, object], says: str) -> None:
    with pytest.raises(PluginRefusedError, match=says):
        Plugin(module(**broken), TIGHT)  # type: ignore[arg-type]


@pytest.mark.req("OC-POLICY-4001")
@pytest.mark.parametrize("name", ["memory", "llorch_abi", "llorch_alloc", "llorch_describe", "llorch_decide"])
def test_a_missing_export_is_named(name: str) -> None:
    other = bytes(wasmtime.wat2wasm(_text_without(name)))

    with pytest.raises(PluginRefusedError, match=name):
        Plugin(other, TIGHT)


def _text_without(name: str) -> str:
    exports = {
        "memory": '(memory (export "memory") 1)',
        "llorch_abi": '(func (export "llorch_abi") (result i32) (i32.const 65536))',
        "llorch_alloc": '(func (export "llorch_alloc") (param i32) (result i32) (i32.const 1))',
        "llorch_describe": '(func (export "llorch_describe") (result i64) (i64.const 0))',
        "llorch_decide": '(func (export "llorch_decide") (param i32 i32) (result i64) (i64.const 0))',
    }
    return f"(module {' '.join(text for export, text in exports.items() if export != name)})"


@pytest.mark.req("OC-POLICY-4001")
def test_another_signature_is_refused() -> None:
    text = _text_without("llorch_alloc")[:-1] + '(func (export "llorch_alloc") (result i32) (i32.const 1)))'
    with pytest.raises(PluginRefusedError, match="another signature"):
        Plugin(bytes(wasmtime.wat2wasm(text)), TIGHT)


@pytest.mark.req("OC-POLICY-4001")
@settings(max_examples=150, deadline=None)
@given(st.one_of(st.binary(max_size=400), st.binary(max_size=40).map(lambda tail: module()[:-20] + tail)))
def test_any_bytes_are_a_plugin_or_refused(raw: bytes) -> None:
    try:
        Plugin(raw, TIGHT)
    except PluginRefusedError:
        return


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 2**64 - 1))
def test_any_answer_of_the_abi_is_read_inside_its_memory_or_refused(packed: int) -> None:
    signed = packed - 2**64 if packed >= 2**63 else packed
    try:
        answer = Plugin(module(decide=f"(i64.const {signed})"), TIGHT).decide(b"{}")
    except PluginFailedError:
        return
    assert (packed & 0xFFFF_FFFF) == len(answer)
