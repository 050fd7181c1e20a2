"""One policy plugin in its sandbox: a WASI module that turns one JSON document into another, and can do nothing else.

ABI 1.1. A module exports its `memory` and four functions:

    llorch_abi() -> i32                      major << 16 | minor
    llorch_alloc(length: i32) -> i32         where the host may write so many bytes; 0 = no room
    llorch_describe() -> i64                 address << 32 | length of {"name": …, "version": "1.2.3"}
    llorch_decide(address: i32, length: i32) -> i64      the same for the decision

Rules:
1. Every call has an instance of its own: nothing is remembered, and the same document gives the same decision.
2. WASI is there for runtimes that cannot start without it, and is empty: no folder, no environment, no argument, what
   is written goes nowhere. A module that imports a clock, randomness, sockets or paths is refused when it is loaded.
3. Fuel bounds the instructions of a call, the store's limits its memory, and an epoch its time. What exceeds a bound
   costs that one call.

Source: ORCH-3048, OC-POLICY-4001, OC-POLICY-4002, OC-POLICY-4010, OC-POLICY-4011; WASI preview 1.
"""

import threading
from collections.abc import Iterator
from contextlib import contextmanager

import msgspec
import wasmtime

from reference_server.policy.plugin import ABI, Bounds, Description, PluginFailedError, PluginRefusedError

MODULE_BYTES_MAX = 4 * 1024 * 1024
DOCUMENT_BYTES_MAX = 64 * 1024  # either way; a snapshot of a hundred replicas is a third of it

WASI = "wasi_snapshot_preview1"
IMPORTS = frozenset(
    {
        *("args_get", "args_sizes_get", "environ_get", "environ_sizes_get", "proc_exit"),
        *("fd_close", "fd_fdstat_get", "fd_prestat_dir_name", "fd_prestat_get", "fd_seek", "fd_write"),
    }
)
"""What C's and Rust's runtimes ask for at their start; all of it answers with nothing."""

SIGNATURES = {
    "llorch_abi": ([], ["i32"]),
    "llorch_alloc": (["i32"], ["i32"]),
    "llorch_describe": ([], ["i64"]),
    "llorch_decide": (["i32", "i32"], ["i64"]),
}

BROKEN_BOUND = {
    wasmtime.TrapCode.OUT_OF_FUEL: "it ran out of fuel",
    wasmtime.TrapCode.INTERRUPT: "it ran out of time",
    wasmtime.TrapCode.STACK_OVERFLOW: "it overflowed its stack",
}


class Plugin:
    """A loaded module.

    Attributes:
        description: its name and version, in its own words.

    Raises:
        PluginRefusedError: it cannot be loaded.
    """

    def __init__(self, module: bytes, bounds: Bounds) -> None:
        if len(module) > MODULE_BYTES_MAX:
            raise PluginRefusedError(f"the module is larger than {MODULE_BYTES_MAX} bytes")
        settings = wasmtime.Config()
        settings.consume_fuel = True
        settings.epoch_interruption = True
        self._bounds = bounds
        self._engine = wasmtime.Engine(settings)
        self._one_call = threading.Lock()  # an epoch interrupts every call of its engine
        try:
            self._module = wasmtime.Module(self._engine, module)
        except wasmtime.WasmtimeError as error:
            raise PluginRefusedError(f"not a WebAssembly module: {str(error).splitlines()[0]}") from None
        _require_known_imports(self._module)
        _require_exports(self._module)
        try:
            self.description = self._describe()
        except PluginFailedError as error:
            raise PluginRefusedError(f"it does not describe itself: {error}") from None

    def decide(self, document: bytes) -> bytes:
        """The plugin's answer to one document. Blocks, for `wall_ms` at most; may be called from any thread.

        Raises:
            PluginFailedError: it gave none.
        """
        if len(document) > DOCUMENT_BYTES_MAX:
            raise PluginFailedError(f"the document is larger than {DOCUMENT_BYTES_MAX} bytes")
        with self._call() as call:
            address = call.int_of("llorch_alloc", len(document))
            call.write(address, document)
            return call.read(call.int_of("llorch_decide", address, len(document)))

    def _describe(self) -> Description:
        with self._call() as call:
            version = call.int_of("llorch_abi") & 0xFFFF_FFFF
            if version >> 16 != ABI[0] or version & 0xFFFF > ABI[1]:
                raise PluginRefusedError(
                    f"it is built for ABI {version >> 16}.{version & 0xFFFF}, and this server has {ABI[0]}.{ABI[1]}: "
                    "build it against this server's SDK"
                )
            raw = call.read(call.int_of("llorch_describe"))
        try:
            return msgspec.json.decode(raw, type=Description)
        except msgspec.DecodeError as error:
            raise PluginFailedError(f"llorch_describe: {error}") from None

    @contextmanager
    def _call(self) -> Iterator["_Call"]:
        store = wasmtime.Store(self._engine)
        store.set_limits(
            memory_size=self._bounds.memory_bytes, table_elements=10_000, instances=1, tables=4, memories=1
        )
        store.set_fuel(self._bounds.fuel)
        store.set_wasi(wasmtime.WasiConfig())
        linker = wasmtime.Linker(self._engine)
        linker.define_wasi()
        with self._one_call:
            store.set_epoch_deadline(1)
            alarm = threading.Timer(self._bounds.wall_ms / 1000, self._engine.increment_epoch)
            alarm.daemon = True
            alarm.start()
            try:
                yield _Call(store, linker.instantiate(store, self._module))
            except (wasmtime.Trap, wasmtime.ExitTrap) as trap:
                code = trap.trap_code if isinstance(trap, wasmtime.Trap) else None
                raise PluginFailedError(
                    BROKEN_BOUND.get(code, f"it trapped ({_name(code)})") if code else "it exited"
                ) from None
            except wasmtime.WasmtimeError as error:
                raise PluginFailedError(f"it could not be started: {str(error).splitlines()[0]}") from None
            finally:
                alarm.cancel()


class _Call:
    """One instance at work."""

    def __init__(self, store: wasmtime.Store, instance: wasmtime.Instance) -> None:
        self._store, self._exports = store, instance.exports(store)
        memory = self._exports["memory"]
        assert isinstance(memory, wasmtime.Memory)  # noqa: S101 - `_require_exports`
        self._memory = memory
        if isinstance(initialize := self._exports.get("_initialize"), wasmtime.Func):
            initialize(store)

    def int_of(self, name: str, *arguments: int) -> int:
        function = self._exports[name]
        assert isinstance(function, wasmtime.Func)  # noqa: S101 - `_require_exports`
        return int(function(self._store, *arguments))

    def write(self, address: int, content: bytes) -> None:
        address &= 0xFFFF_FFFF
        if address == 0 or address + len(content) > self._memory.data_len(self._store):
            raise PluginFailedError("llorch_alloc gave no room")
        self._memory.write(self._store, content, address)

    def read(self, packed: int) -> bytes:
        address, length = packed >> 32 & 0xFFFF_FFFF, packed & 0xFFFF_FFFF
        if length > DOCUMENT_BYTES_MAX:
            raise PluginFailedError(f"its answer is larger than {DOCUMENT_BYTES_MAX} bytes")
        if length == 0 or address + length > self._memory.data_len(self._store):
            raise PluginFailedError("its answer lies outside its memory")
        return bytes(self._memory.read(self._store, address, address + length))


def _require_known_imports(module: wasmtime.Module) -> None:
    wanted = {f"{entry.module}.{entry.name}" for entry in module.imports}
    if strange := sorted(wanted - {f"{WASI}.{name}" for name in IMPORTS}):
        raise PluginRefusedError(f"it imports what the sandbox does not give: {', '.join(strange)}")


def _require_exports(module: wasmtime.Module) -> None:
    exports = {entry.name: entry.type for entry in module.exports}
    if not isinstance(exports.get("memory"), wasmtime.MemoryType):
        raise PluginRefusedError("it exports no memory")
    for name, (parameters, results) in SIGNATURES.items():
        kind = exports.get(name)
        if not isinstance(kind, wasmtime.FuncType):
            raise PluginRefusedError(f"it exports no {name}; is it built with the SDK?")
        if ([str(t) for t in kind.params], [str(t) for t in kind.results]) != (parameters, results):
            raise PluginRefusedError(f"its {name} has another signature than the ABI's")


def _name(code: wasmtime.TrapCode) -> str:
    return code.name.lower().replace("_", " ")
