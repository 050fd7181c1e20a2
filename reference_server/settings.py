"""From the configuration to what runs: at the start, and again when the file is read anew (SIGHUP).

A reload is one step: the new file is valid and every field that differs can change in a running server, or nothing
changes at all. What cannot change needs a restart and is named.

Source: OC-CONFIG-6006.
"""

from collections.abc import Iterator, Mapping, MutableMapping
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Any

import msgspec

from reference_server import config as configuration
from reference_server.config import Config, Current, Watchdog
from reference_server.domain.budgets import Amounts, Prices
from reference_server.domain.canary import Canary
from reference_server.domain.core import Core
from reference_server.domain.service_level import Objective
from reference_server.domain.task_queue import Bounds
from reference_server.domain.throttle import Throttle, TokenLimits
from reference_server.runtime.readers import Readers

CHANGEABLE = (
    *("pools[[]*].canary*", "pools[[]*].queue.*", "pools[[]*].watchdog.*", "pools[[]*].prices.*"),
    *("pools[[]*].reload_drain_ms", "pools[[]*].service_level.*"),
    *("sessions.*", "token_limits.*", "retention.*", "outbound.*"),
    *("http.keep_alive_ms", "http.body_ms", "http.slow_reader_ms", "http.readers_per_task_max", "http.drain_ms"),
)
"""Fields that a running server takes over; `[[]` is a bracket in these patterns."""


class NeedsRestartError(Exception):
    """The new configuration differs in something that a running server cannot change; the text names it."""


@dataclass(frozen=True, slots=True)
class Change:
    """One field that differs."""

    field: str
    was: object
    now: object


@dataclass(frozen=True, kw_only=True)
class Running:
    """What a reload reaches.

    Attributes:
        watchdogs: by pool id.
    """

    current: Current
    core: Core
    readers: Readers
    watchdogs: MutableMapping[str, Watchdog]


def take_over(new: Config, running: Running) -> list[Change]:
    """Change a running server to a new configuration.

    Returns:
        What differs; empty when nothing does.

    Raises:
        NeedsRestartError: nothing was changed.
    """
    changes = differences(running.current.config, new)
    fixed = [c.field for c in changes if not any(fnmatchcase(c.field, pattern) for pattern in CHANGEABLE)]
    if fixed:
        raise NeedsRestartError(f"needs a restart: {', '.join(fixed)}")
    for settings in new.pools:
        pool = running.core.pools[settings.id]
        pool.limit(bounds_of(settings))
        pool.prices, pool.reload_drain_ms = prices_of(settings), settings.reload_drain_ms
        pool.service_level.limit(objective_of(settings))
        pool.canary = canary_of(settings)
        running.watchdogs[settings.id] = settings.watchdog
    sessions, retention = new.sessions, new.retention
    running.core.sessions.limit(
        ttl_ms=sessions.ttl_ms,
        turns_max=sessions.turns_max,
        sessions_max=sessions.sessions_max,
        budget=budget_of(sessions),
    )
    running.core.retention.limit(ttl_ms=retention.ttl_ms, tasks_max=retention.tasks_max, bytes_max=retention.bytes_max)
    if new.token_limits != running.current.config.token_limits:
        running.core.limits.replace(limits_of(new.token_limits))
    running.readers.per_task_max = new.http.readers_per_task_max
    running.current.config = new
    return changes


def differences(old: Config, new: Config) -> list[Change]:
    """Each field that differs, pools by their ids. # pools[default].queue.capacity_batch"""
    was, now = dict(_fields(_by_id(old), "")), dict(_fields(_by_id(new), ""))
    fields = dict.fromkeys([*was, *now])
    return [Change(f, was.get(f), now.get(f)) for f in fields if was.get(f) != now.get(f) or (f in was) != (f in now)]


def _by_id(config: Config) -> Mapping[str, Any]:
    plain = msgspec.to_builtins(config)
    pools = {f"pools[{pool['id']}]": pool for pool in plain.pop("pools")}
    return {**plain, **pools}


def _fields(value: object, path: str) -> Iterator[tuple[str, object]]:
    if not isinstance(value, Mapping):
        yield path, value
        return
    for key, inner in value.items():
        yield from _fields(inner, f"{path}.{key}" if path else key)


def bounds_of(pool: configuration.Pool) -> Bounds:
    """Of its queue."""
    queue = pool.queue
    return Bounds(
        interactive=queue.capacity_interactive,
        batch=queue.capacity_batch,
        total=queue.capacity_total or queue.capacity_interactive + queue.capacity_batch,
        policy=queue.full_policy,
    )


def prices_of(pool: configuration.Pool) -> Prices:
    """Of its tokens."""
    return Prices(in_per_1k=pool.prices.in_per_1k, out_per_1k=pool.prices.out_per_1k)


def objective_of(pool: configuration.Pool) -> Objective:
    """Of its interactive tasks."""
    return Objective(**msgspec.structs.asdict(pool.service_level))


def canary_of(pool: configuration.Pool) -> Canary | None:
    """Where a part of its tasks goes."""
    named = pool.canary
    return None if named is None else Canary(pool_id=named.pool, share=named.share, label=named.label)


def budget_of(sessions: configuration.Sessions) -> Amounts:
    """Of each session."""
    return Amounts(**msgspec.structs.asdict(sessions.budget))


def limits_of(limits: configuration.TokenLimits) -> TokenLimits:
    """Of the API token."""
    throttle = None if limits.tasks_per_s is None else Throttle(limits.tasks_per_s, limits.burst)
    return TokenLimits(throttle=throttle, open_tasks_max=limits.open_tasks_max)
