"""Bringing a pool's engine: before its first start, as its configuration says, by the outbound policy.

An engine that is not here and cannot be brought leaves its pool unavailable with what to do, and is tried for again.

Source: ORCH-3200, OC-CONFIG-6020, OC-CONFIG-6027, OC-CONFIG-6028.
"""

import asyncio
import logging
from collections.abc import Callable, Mapping
from functools import partial
from typing import TYPE_CHECKING

from reference_server.config import Engines, Pool
from reference_server.domain.faults import Fault, FaultKind
from reference_server.provision.errors import DigestError, ProvisionError
from reference_server.runtime.background import in_thread
from reference_server.runtime.launchers import FaultError
from reference_server.runtime.orphans import mark

if TYPE_CHECKING:
    from reference_server.provision.work import Work

log = logging.getLogger(__name__)
log.setLevel(logging.INFO)  # an engine that is brought is worth its lines

KeepPlan = Callable[[str, str, str], None]
"""Keeps a plan: its text, the pool's id, the engine's name."""


async def bring(pool: Pool, settings: Engines, keep: KeepPlan) -> Mapping[str, str] | None:
    """The manifest of a pool's engine, once it is here; None where there is nothing to bring.

    What is canceled is called off: its programs end, and the next try goes on with what was fetched.

    Raises:
        FaultError: it is not here, and cannot be brought; the text says what to do.
    """
    from reference_server.provision.work import Work

    work = Work(env=mark())
    try:
        return await in_thread(partial(_bring, pool, settings, keep, work), name=f"engine-{pool.id}")
    except ProvisionError as error:
        kind: FaultKind = "mismatch" if isinstance(error, DigestError) else "misconfigured"
        raise FaultError(Fault(kind, str(error))) from error
    finally:
        await asyncio.shield(asyncio.to_thread(work.call_off))


def _bring(pool: Pool, settings: Engines, keep: KeepPlan, work: "Work") -> Mapping[str, str] | None:
    from reference_server.provision import provisioner, recipes  # a server that starts no engine does not load them

    recipe = recipes.of(pool)
    if recipe is None:
        return None
    plan = recipe.plan()
    here = provisioner.find(recipe)
    if here is None and not settings.provision:
        raise ProvisionError(
            f"{plan.engine} {plan.version} is not here, and `engines.provision` is off; "
            "run: llama-orch engines --config FILE install"
        )
    keep(plan.text, pool.id, plan.engine)
    if here is None:
        log.info("engine being brought: %s %s by %s, plan %s", plan.engine, plan.version, plan.mode, plan.id)
        here = provisioner.install(recipe, may_install_packages=settings.install_packages, work=work)
    log.info("engine here: %s %s in %s, plan %s", plan.engine, plan.version, plan.folder, plan.id)
    return here
