"""Which model a pool wants, and bringing it: before its engine is started, by the outbound policy, never in the way.

A model that is not here and cannot be brought makes its pool POOL_UNREADY at once, and is tried for again.

Source: ORCH-3090, ORCH-3091, ORCH-3093, OC-CONFIG-6026.
"""

import asyncio
import logging
import threading
from dataclasses import replace

from reference_server.config import Config, Pool
from reference_server.domain.catalog import Catalog
from reference_server.domain.faults import Fault, FaultKind
from reference_server.provision import model_store
from reference_server.provision.errors import BadReferenceError, DigestError, FormatError, ProvisionError
from reference_server.provision.reference import parse, scheme_of
from reference_server.provision.wanted import Wanted
from reference_server.runtime.background import in_thread
from reference_server.runtime.launchers import FaultError

KINDS: tuple[tuple[type[ProvisionError], FaultKind], ...] = (
    (DigestError, "mismatch"),
    (FormatError, "misconfigured"),
    (BadReferenceError, "misconfigured"),
    (ProvisionError, "model-missing"),
)

log = logging.getLogger(__name__)
log.setLevel(logging.INFO)  # a model that has come is worth its line


def wanted_by(config: Config, pool: Pool, catalog: Catalog, model_ref: str) -> Wanted | None:
    """What has to be in the cache for this `model_ref`; None when it names nothing that is fetched.

    Raises:
        FaultError: it is no reference.
    """
    own = pool.model if model_ref == pool.model_ref else None
    entry = catalog.serving(model_ref)
    source = (own and own.source) or (entry and entry.entry.source_url) or model_ref
    if scheme_of(source) in {None, "file"}:
        return None
    try:
        reference = parse(source)
    except BadReferenceError as error:
        raise FaultError(Fault("misconfigured", str(error))) from None
    return Wanted(
        reference=reference,
        digest=catalog.digest_of(model_ref) or (own.digest if own else None),
        allow_pickle=config.models.allow_pickle,
        quota_bytes=config.models.cache_bytes_max,
    )


async def bring(wanted: Wanted, *, may_fetch: bool) -> str:
    """The path of a model, once it is here. What is canceled goes on with the next try.

    Raises:
        FaultError: it is not here, and cannot be brought; or it is another than it should be.
    """
    if (here := await asyncio.to_thread(model_store.find, wanted.reference, digest=wanted.digest)) is not None:
        return here["path"]
    if not may_fetch:
        text = f"{wanted.reference.text} is not here, and `models.fetch` is off; run: llama-orch models fetch"
        raise FaultError(Fault("model-missing", text))
    stop = threading.Event()
    try:
        made = await in_thread(lambda: model_store.fetch(replace(wanted, stop=stop)), name="model-fetch")
    except ProvisionError as error:
        kind = next(kind for family, kind in KINDS if isinstance(error, family))
        raise FaultError(Fault(kind, str(error))) from error
    finally:
        stop.set()
    log.info("model fetched: %s as %s", made["reference"], made["path"])
    return made["path"]
