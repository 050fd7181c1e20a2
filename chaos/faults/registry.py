"""All faults, by name, with where and how long each strikes. `NAME@engine` puts a network fault before the engine."""

from collections.abc import Mapping
from functools import partial

from chaos.faults.cancel_storm import CancelStorm
from chaos.faults.cut import Cut
from chaos.faults.delay import Delay
from chaos.faults.drain import Drain
from chaos.faults.drop import Drop
from chaos.faults.engine_dies import LAST_WORDS, EngineDies
from chaos.faults.fault import Kind
from chaos.faults.flood import Flood
from chaos.faults.full_disk import FullDisk
from chaos.faults.half_close import HalfClose
from chaos.faults.inversion import Inversion
from chaos.faults.kill_engine import KillEngine
from chaos.faults.kill_server import KillServer
from chaos.faults.network import NetworkFault
from chaos.faults.pause_process import PauseProcess
from chaos.faults.reload import Reload
from chaos.faults.slice import Slice
from chaos.faults.slow_readers import SlowReaders
from chaos.faults.stuck_drain import StuckDrain
from chaos.faults.vanishing_readers import VanishingReaders
from chaos.scene import Where

# A server pauses longer after each death of its engine and opens a breaker at the fifth within a minute (OC-POOL-3014).
DEATHS_MAX = 3

NETWORK: Mapping[str, tuple[type[NetworkFault], str]] = {
    "cut": (Cut, "connections are reset, streams after some frames"),
    "delay": (Delay, "every piece arrives late"),
    "slice": (Slice, "pieces arrive a few bytes at a time"),
    "drop": (Drop, "a black hole: nothing passes, until it heals"),
    "half-close": (HalfClose, "one direction of connections ends"),
}

_PLAIN = (
    Kind(name="kill-server", about="SIGKILL, and a new life on the same state", make=KillServer, hold_ms=(0, 0)),
    Kind(
        name="pause-server",
        about="SIGSTOP and SIGCONT of the server",
        make=partial(PauseProcess, "server"),
        hold_ms=(200, 1_200),
    ),
    Kind(
        name="kill-engine",
        about="SIGKILL",
        make=KillEngine,
        hold_ms=(50, 400),
        blows_max=DEATHS_MAX,
        engine="supervised",
    ),
    Kind(
        name="pause-engine",
        about="SIGSTOP and SIGCONT of the engine",
        make=partial(PauseProcess, "engine"),
        hold_ms=(200, 1_200),
    ),
    *(
        Kind(
            name=name,
            about=f"the engine dies with: {words[:60]}",
            make=partial(EngineDies, name),
            hold_ms=(100, 400),
            blows_max=1,
            engine="supervised",
        )
        for name, (words, _) in LAST_WORDS.items()
    ),
    Kind(name="full-disk", about="no further byte can be journaled", make=FullDisk, hold_ms=(200, 600), blows_max=2),
    Kind(name="drain", about="drained under load, and reloaded", make=Drain, hold_ms=(100, 1_800), engine="supervised"),
    Kind(
        name="stuck-drain",
        about="drained while the engine stands still, and reloaded",
        make=StuckDrain,
        hold_ms=(0, 50),
        blows_max=2,
        engine="supervised",
    ),
    Kind(name="reload", about="reloaded under load, or rolled back", make=Reload, hold_ms=(0, 50), engine="supervised"),
    Kind(name="flood", about="ten times what the pool holds, at once", make=Flood, hold_ms=(0, 50)),
    Kind(name="inversion", about="long batch tasks, then interactive ones", make=Inversion, hold_ms=(0, 50)),
    Kind(name="cancel-storm", about="everything open is canceled", make=CancelStorm, hold_ms=(0, 50)),
    Kind(name="slow-readers", about="readers that take nothing for a while", make=SlowReaders, hold_ms=(300, 900)),
    Kind(name="vanishing-readers", about="readers that leave as they come", make=VanishingReaders, hold_ms=(0, 50)),
)


def _network(name: str, where: Where) -> Kind:
    made, about = NETWORK[name]
    is_front = where == "clients"
    return Kind(
        name=name if is_front else f"{name}@engine",
        about=f"{about} (before the {'server' if is_front else 'engine'})",
        make=partial(made, where),
        hold_ms=(400, 1_200),
        where=where,
        engine="any" if is_front else "attached",
    )


FAULTS: Mapping[str, Kind] = {
    kind.name: kind
    for kind in (*_PLAIN, *(_network(name, where) for name in NETWORK for where in ("clients", "engine")))
}
