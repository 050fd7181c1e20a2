"""The catalog's calls: register, read, verify, activate or retire, delete.

Source: ORCH-3060 … ORCH-3074, ORCH-3037.
"""

import asyncio
import time
from urllib.parse import urlsplit

import msgspec
from aiohttp import web

from contracts.models.control import CatalogModel, CatalogState
from contracts.models.control import TrustPolicy as WirePolicy
from reference_server.domain.catalog import Entry, Model, ModelState, TrustPolicy, Verdict
from reference_server.runtime import model_files
from reference_server.runtime.clock import now_ms
from reference_server.store.documents import Documents
from reference_server.web import body
from reference_server.web.errors import EdgeError
from reference_server.web.keys import DOCUMENTS, MODEL_FILES, ORCHESTRATOR

DIGEST_PATIENCE_S = 5.0


class _Kept(msgspec.Struct, frozen=True):
    """A model as it is stored; the time is that of the wall clock."""

    entry: msgspec.Raw
    state: ModelState
    unload_at_wall_ms: int | None


async def create(request: web.Request) -> web.Response:
    """Register a model."""
    entry = entry_of(await body.read(request, CatalogModel))
    catalog = request.app[ORCHESTRATOR].core.catalog
    if catalog.add(entry):
        request.app[DOCUMENTS].put("model", entry.id, kept(_model(request, entry.id)))
    await _require_durable(request)
    return web.Response(status=201, body=entry.body, content_type="application/json")


async def read(request: web.Request) -> web.Response:
    """An entry as it was registered."""
    return web.Response(body=_model_of(request).entry.body, content_type="application/json")


async def delete(request: web.Request) -> web.Response:
    """Forget an entry and what is cached of it."""
    model, core = _model_of(request), request.app[ORCHESTRATOR].core
    serving = [p.id for p in core.pools.values() if model.entry.serves_as(p.model_ref) and p.is_live]
    if serving and model_files.is_cached(model.entry.id, model.entry.source_url):
        raise EdgeError("CONFLICT", f"pool {serving[0]} serves the model from the cache: retire it first")
    core.catalog.remove(model.entry.id)
    request.app[DOCUMENTS].remove("model", model.entry.id)
    await _require_durable(request)
    await asyncio.to_thread(model_files.remove_cached, model.entry.id, model.entry.source_url)
    return web.Response(status=204)


async def verify(request: web.Request) -> web.Response:
    """Judge an entry by its digest, signature and SBOM; a file too large to be read at once is `pending`."""
    entry = _model_of(request).entry
    files, core = request.app[MODEL_FILES], request.app[ORCHESTRATOR].core
    path = await asyncio.to_thread(files.find, entry.id, entry.source_url)
    try:
        digest = await files.digest(path, patience_s=DIGEST_PATIENCE_S) if path is not None else None
    except TimeoutError:
        return _verdict(Verdict("pending", "not-here", ("the weights are still being read: ask again",)))
    verdict = core.verify_model(entry, [digest] if digest is not None else [])
    request.app[ORCHESTRATOR].settle_effects()
    return _verdict(verdict)


async def set_state(request: web.Request) -> web.Response:
    """Activate or retire a model; without a deadline its pools are unloaded now."""
    wanted = await body.read(request, CatalogState)
    model = _model_of(request)
    deadline_ms = 0 if isinstance(wanted.deadline_ms, msgspec.UnsetType) else wanted.deadline_ms
    request.app[ORCHESTRATOR].set_model_state(model, wanted.state, deadline_ms=deadline_ms)
    request.app[DOCUMENTS].put("model", model.entry.id, kept(model))
    await _require_durable(request)
    return web.Response(status=202)


async def restored(documents: Documents) -> list[Model]:
    """The models of a catalog that was kept over a restart."""
    models = []
    ahead_ms = now_ms() - _wall_ms()
    for raw in await documents.all("model"):
        was = msgspec.json.decode(raw, type=_Kept)
        entry = entry_of(msgspec.json.decode(was.entry, type=CatalogModel))
        at_ms = None if was.unload_at_wall_ms is None else was.unload_at_wall_ms + ahead_ms
        models.append(Model(entry, was.state, at_ms))
    return models


def kept(model: Model) -> bytes:
    """A model as it is stored."""
    at_ms = None if model.unload_at_ms is None else model.unload_at_ms - now_ms() + _wall_ms()
    return msgspec.json.encode(_Kept(msgspec.Raw(model.entry.body), model.state, at_ms))


def entry_of(wire: CatalogModel) -> Entry:
    """What the domain keeps of a valid body.

    Raises:
        EdgeError: INVALID_PARAMS: credentials in the source.
    """
    source = wire.source_url or None
    if source is not None and _has_credentials(source):
        raise EdgeError("INVALID_PARAMS", "put no credentials into `source_url`: what is registered can be read again")
    return Entry(
        id=wire.id,
        digest=wire.digest,
        body=msgspec.json.encode(wire),
        source_url=source,
        is_signed=any(signature.verified for signature in wire.signatures or ()),
        has_sbom=not isinstance(wire.sbom, msgspec.UnsetType),
        policy=_policy(wire.trust_policy),
    )


def _policy(wire: WirePolicy | msgspec.UnsetType) -> TrustPolicy:
    if isinstance(wire, msgspec.UnsetType):
        return TrustPolicy()
    return TrustPolicy(
        mode=wire.mode,
        allowed_registries=wire.allowed_registries or (),
        require_signature=wire.require_signature or False,
        require_sbom=wire.require_sbom or False,
    )


def _has_credentials(source: str) -> bool:
    try:
        return "@" in urlsplit(source).netloc
    except ValueError:
        return False


def _verdict(verdict: Verdict) -> web.Response:
    return web.json_response({"status": verdict.status, "warnings": list(verdict.warnings)}, status=202)


def _model_of(request: web.Request) -> Model:
    return _model(request, request.match_info["id"])


def _model(request: web.Request, model_id: str) -> Model:
    model = request.app[ORCHESTRATOR].core.catalog.get(model_id)
    if model is None:
        raise EdgeError("NOT_FOUND", "no such model in the catalog")
    return model


async def _require_durable(request: web.Request) -> None:
    if not await request.app[DOCUMENTS].durable():
        raise EdgeError("INTERNAL", "the state cannot be written")


def _wall_ms() -> int:
    return time.time_ns() // 1_000_000
