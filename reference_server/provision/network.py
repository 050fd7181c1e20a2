"""The way out for everything that provisioning fetches: the gateway, under the rules of whoever runs it.

Without a configuration the rules are permissive; `LLAMA_ORCH_OFFLINE=1` switches all of it off.

Source: ORCH-3080, ORCH-3205, OC-CONFIG-6030, OC-POLICY-4044, OC-POLICY-4046, OC-POLICY-4047.
"""

import logging
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from urllib.parse import urlsplit

from reference_server.config import Outbound
from reference_server.policy import connect
from reference_server.policy.clients import unused_proxies
from reference_server.policy.connect import Ask, RefusedConnectionError, Resolve, addresses_of, no_plugin
from reference_server.policy.gateway import DEFAULT_PORTS, Gateway, Pass
from reference_server.policy.outbound import Decision, Request, Snapshot, host_of, matches, split
from reference_server.provision.console import say
from reference_server.provision.errors import OutboundRefusedError, ProvisionError

OFFLINE_ENV = "LLAMA_ORCH_OFFLINE"

log = logging.getLogger(__name__)
log.setLevel(logging.INFO)  # a decision that lets something out is worth its line too


@dataclass(slots=True)
class _Rules:
    now: Callable[[], Outbound]
    ask: Ask = no_plugin


_rules = _Rules(Outbound)


def follow(rules: Callable[[], Outbound], *, ask: Ask = no_plugin) -> None:
    """Let these rules count for the whole process from now on; they are asked anew for each connection.

    Args:
        ask: the plugins, about what the rules allow.
    """
    _rules.now, _rules.ask = rules, ask


@contextmanager
def going_out(purpose: str, *, mirrors: tuple[str, ...] = ()) -> Iterator[Pass]:
    """A pass through the gateway for the length of the block.

    Args:
        purpose: for the log, in a word.
        mirrors: addresses that the operator set tools up with; they may be private and plain http.

    Raises:
        OutboundRefusedError: the block failed because the policy refused a connection.
        ProvisionError: it failed, and a host did not answer, which the text names.
    """
    _tell_of_proxies()
    with _gateway().admit(purpose, set_up=tuple(map(_endpoint, mirrors))) as held:
        try:
            yield held
        except ProvisionError as error:
            if held.refusals:
                raise OutboundRefusedError(f"outbound policy: {held.refusals[-1].text}") from error
            if held.unreached and type(error) is ProvisionError:
                raise ProvisionError(f"{held.unreached[-1]}; {error}") from error
            raise


def require_on() -> None:
    """Raises `OutboundRefusedError`: all of it is switched off (ORCH-3205)."""
    if not snapshot_of(_rules.now()).is_on:
        raise OutboundRefusedError(
            "outbound policy: outbound traffic is switched off, by `outbound.enabled` or LLAMA_ORCH_OFFLINE"
        )


def require_reachable(host: str, port: int, *, purpose: str) -> None:
    """Ask the policy about a connection that a program makes that we do not hold, by opening one and closing it again.

    Raises:
        OutboundRefusedError: the policy refuses it.
        ProvisionError: it cannot be made.
    """
    request = Request(purpose=purpose, scheme="https", host=host_of(host), port=port)
    try:
        rules = snapshot_of(_rules.now())
        connect.connect(request, rules, resolve=addresses_of, record=_observe, ask=_ask).close()
    except RefusedConnectionError as error:
        raise OutboundRefusedError(f"outbound policy: {error}") from error
    except OSError as error:
        raise ProvisionError(f"{host}:{port} cannot be reached: {error.strerror or error}") from error


def is_plain(place: str) -> bool:
    """Whether `host[:port]` is asked with plain http: http is allowed, and the rules name it as private."""
    rules = snapshot_of(_rules.now())
    host, port = split(place)
    request = Request(purpose="model", scheme="http", host=host, port=port or 443)
    return "http" in rules.schemes and matches(request, rules.private)


def snapshot_of(rules: Outbound) -> Snapshot:
    """The rules as the policy reads them, with the switch of the environment."""
    return Snapshot(
        is_on=rules.enabled and os.environ.get(OFFLINE_ENV, "0") in {"", "0"},
        is_strict=rules.mode == "strict",
        is_shadow=rules.shadow,
        schemes=rules.schemes,
        allow=rules.allow,
        deny=rules.deny,
        private=rules.private,
    )


@cache
def _tell_of_proxies() -> None:
    """Once, and on the command line only: a server says it in its log, when it starts."""
    if (text := unused_proxies()) is not None:
        say(text)


@cache
def _gateway() -> Gateway:
    """One for the process; its threads end with it."""
    return open_gateway(addresses_of)


def open_gateway(resolve: Resolve) -> Gateway:
    """A gateway under the rules and plugins that count here."""
    return Gateway(lambda: snapshot_of(_rules.now()), observe=_observe, resolve=resolve, ask=_ask)


def _ask(request: Request) -> str | None:
    """The plugins of now: rules may have been set after the gateway was opened."""
    return _rules.ask(request)


def _observe(request: Request, decision: Decision) -> None:
    """One line a decision, without path, query or credential (OC-POLICY-4045)."""
    outcome = "allowed" if decision.is_allowed else "refused" if not decision.is_open else "would be refused"
    level = logging.INFO if decision.is_allowed else logging.WARNING
    log.log(level, "outbound %s: purpose=%s rule=%s %s", outcome, request.purpose, decision.rule, decision.text)


def _endpoint(address: str) -> str:
    url = urlsplit(address)
    host = f"[{url.hostname}]" if ":" in (url.hostname or "") else url.hostname
    return f"{host}:{url.port or DEFAULT_PORTS.get(url.scheme, 443)}"
