"""What this host has and lacks: for provisioning in general, and for one configuration in particular.

Nothing is fetched, built or changed. What is missing and nobody needs is `absent`; what a pool needs and is missing, or
is there and broken, is a `problem`.

Source: ORCH-3013, ORCH-3202, ORCH-3209.
"""

import os
import shutil
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from reference_server.config import Config, ExternalEngine, MockEngine, Pool, SupervisedEngine
from reference_server.config_rules import mode_of
from reference_server.domain.devices import DeviceMask, Gpu, apart
from reference_server.provision import cache, distro, model_store, preflight, provisioner, recipes, tools
from reference_server.provision.errors import BadReferenceError, NoRoomError, ProvisionError
from reference_server.provision.network import OFFLINE_ENV
from reference_server.provision.provisioner import Recipe
from reference_server.provision.reference import Reference, parse, scheme_of

Status = Literal["ok", "absent", "problem"]
HINTS = {"engines": "llama-orch engines install --help", "models": "llama-orch models fetch --help"}
DISK_LOW_BYTES = 2 * 10**9  # a build of llama.cpp takes half of it


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One thing that was looked at.

    Attributes:
        remedy: what to do about a problem, or to get what is absent; empty where nothing is to be done.
    """

    area: str
    name: str
    status: Status
    detail: str
    remedy: str = ""


def examine(config: Config | None, gpus: Sequence[Gpu]) -> list[Finding]:
    """Everything, in the order in which it is shown. Takes seconds: programs are asked for their versions.

    Args:
        config: None = no configuration was named.
        gpus: of this host, by the driver.
    """
    return [
        *_host(),
        *_tools(),
        *_gpus(gpus),
        *_cache(),
        *_installed("engines"),
        *_installed("models"),
        *(found for pool in (config.pools if config else ()) for found in _pool(pool, config or Config(), gpus)),
    ]


def _host() -> Iterator[Finding]:
    family = distro.family()
    yield Finding(
        area="host",
        name="system",
        status="ok",
        detail=f"{sys.platform}, {family or 'a distribution that is not known'}, {os.cpu_count()} processors",
    )
    offline = os.environ.get(OFFLINE_ENV, "0") not in {"", "0"}
    detail = f"{OFFLINE_ENV} is set: nothing is fetched" if offline else "allowed, by the rules of `outbound`"
    yield Finding(area="host", name="network", status="ok", detail=detail)


def _tools() -> Iterator[Finding]:
    for found in (*map(tools.look, tools.ALL), tools.look_for_venv()):
        area = "containers" if found.tool in {"docker", "podman"} else "tools"
        shown = f"{found.version or 'version unknown'}, {found.program}" if found.problem is None else found.problem
        status: Status = "ok" if found.problem is None else "absent"
        yield Finding(area=area, name=found.tool, status=status, detail=shown, remedy=found.remedy)


def _gpus(gpus: Sequence[Gpu]) -> Iterator[Finding]:
    if not gpus:
        remedy = "install NVIDIA's driver, or set `experimental_cpu: true`"
        yield Finding(area="gpu", name="driver", status="absent", detail="NVML reports no GPU", remedy=remedy)
    for gpu in gpus:
        detail = f"{gpu.name}, {gpu.vram_free // 2**20} of {gpu.vram_total // 2**20} MiB free"
        near = f", NUMA node {gpu.numa_node} with {len(gpu.cpus)} CPUs" if gpu.numa_node is not None else ""
        under = f", under PCIe root {gpu.pci_root}" if gpu.pci_root is not None else ""
        yield Finding(area="gpu", name=f"GPU {gpu.index}", status="ok", detail=detail + near + under)


def _cache() -> Iterator[Finding]:
    root = cache.root()
    there = next(folder for folder in (root, *root.parents) if folder.exists())
    free = shutil.disk_usage(there).free
    remedy = f"free the disk, or name another folder with {cache.CACHE_ENV}"
    if not os.access(there, os.W_OK):
        detail = f"{root} cannot be written"
        yield Finding(area="cache", name="folder", status="problem", detail=detail, remedy=f"own it: {remedy}")
    else:
        yield Finding(area="cache", name="folder", status="ok", detail=str(root))
    low = free < DISK_LOW_BYTES
    detail = f"{free / 1e9:.1f} GB free, {cache.size_of(root) / 1e9:.1f} GB used by the cache"
    yield Finding(
        area="cache", name="disk", status="problem" if low else "ok", detail=detail, remedy=remedy if low else ""
    )


def _installed(kind: Literal["engines", "models"]) -> Iterator[Finding]:
    manifests = cache.installed(kind)
    if not manifests:
        yield Finding(area=kind, name="none", status="absent", detail=f"the cache has no {kind}", remedy=HINTS[kind])
    for manifest in manifests:
        name = f"{manifest['engine']} {manifest['version']}" if kind == "engines" else manifest["id"]
        where = next((manifest[key] for key in ("binary", "python", "image", "path") if key in manifest), "")
        lost = "image" not in manifest and not Path(where).exists()
        detail = f"{where} is gone" if lost else where
        remedy = f"delete its folder below {cache.root() / kind}, and install it again" if lost else ""
        yield Finding(area=kind, name=name, status="problem" if lost else "ok", detail=detail, remedy=remedy)


def _pool(pool: Pool, config: Config, gpus: Sequence[Gpu]) -> Iterator[Finding]:
    yield from _engine(pool, config)
    for number, replica in enumerate(pool.replicas):
        name = f"{pool.id}-{number}"
        if isinstance(replica, ExternalEngine):
            yield Finding(area="pools", name=name, status="ok", detail=f"attached to {replica.url}")
        elif isinstance(replica, SupervisedEngine):
            yield from _replica(name, replica, gpus)
    if any(isinstance(replica, SupervisedEngine) and replica.model_file is None for replica in pool.replicas):
        yield _model(pool, config)


def _replica(name: str, replica: SupervisedEngine, gpus: Sequence[Gpu]) -> Iterator[Finding]:
    if lacking := sorted(set(replica.devices) - {gpu.index for gpu in gpus}):
        remedy = "name devices that `gpu` shows above, or none and `experimental_cpu: true`"
        yield _problem(name, f"GPU {', '.join(map(str, lacking))} is not there", remedy)
    if (why := apart(DeviceMask(replica.devices, replica.tensor_split), gpus)) is not None:
        yield _fine(name, why)
    for field, path in (("model_file", replica.model_file), ("binary", replica.binary)):
        if path is not None and not Path(path).exists():
            yield _problem(name, f"`{field}` {path} is not there", f"name another `{field}`, or leave it out")


def _engine(pool: Pool, config: Config) -> Iterator[Finding]:
    """How a pool's engine comes, and all that keeps it from coming."""
    if all(isinstance(replica, MockEngine) for replica in pool.replicas):
        yield _fine(pool.id, "the embedded mock: a stand-in, no real engine")
        return
    tag = str(mode.__struct_config__.tag) if (mode := mode_of(pool)) else "none"
    try:
        recipe = recipes.of(pool)
        if recipe is None:
            yield _fine(pool.id, f"{tag}: nothing is to be brought")
        else:
            yield from _recipe(pool.id, recipe, config)
    except ProvisionError as error:
        yield _problem(pool.id, f"{tag}: {error}", "change the pool's `provisioning` as it says")


def _recipe(name: str, recipe: Recipe, config: Config) -> Iterator[Finding]:
    plan = recipe.plan()
    shown = f"{plan.mode}: {plan.engine} {plan.version}"
    if provisioner.find(recipe) is not None:
        yield _fine(name, f"{shown} is here: {plan.folder}")
        return
    lacking = [_problem(name, f"{shown}: {found.problem}", found.remedy) for found in recipe.needs() if found.problem]
    try:
        preflight.require_room(plan.disk_bytes)
    except NoRoomError as error:
        lacking.append(_problem(name, f"{shown}: {error}", f"free the disk, or set {cache.CACHE_ENV}"))
    if not lacking and not config.engines.provision:
        remedy = "llama-orch engines --config FILE install"
        lacking.append(_problem(name, f"{shown} is not here, and `engines.provision` is off", remedy))
    yield from lacking or [_fine(name, f"{shown} is brought at the first start; nothing is missing")]


def _model(pool: Pool, config: Config) -> Finding:
    """Where the model of engines that we start comes from."""
    source, name = pool.model.source or pool.model_ref, f"{pool.id} model"
    if scheme_of(source) is None:
        if pool.engine == "llamacpp" and cache.installed("models"):
            return _fine(name, "the installed one")
        return _problem(
            name, f"{source} names no file and no source", "llama-orch engines install llamacpp --with-model"
        )
    try:
        return _by_reference(name, parse(source), pool, config)
    except BadReferenceError as error:
        return _problem(name, str(error), "llama-orch models fetch --help shows the shapes")


def _by_reference(name: str, reference: Reference, pool: Pool, config: Config) -> Finding:
    if reference.scheme == "file":
        path = reference.parts["path"]
        return _fine(name, path) if Path(path).exists() else _problem(name, f"{path} is not there", "name another")
    text = reference.text
    if (here := model_store.find(reference, digest=pool.model.digest)) is not None:
        return _fine(name, f"{text} is here: {here['path']}")
    if not config.models.fetch:
        return _problem(name, f"{text} is not here, and `models.fetch` is off", f"llama-orch models fetch {text}")
    return _fine(name, f"{text} is fetched at the first start")


def _fine(name: str, detail: str) -> Finding:
    return Finding(area="pools", name=name, status="ok", detail=detail)


def _problem(name: str, detail: str, remedy: str) -> Finding:
    return Finding(area="pools", name=name, status="problem", detail=detail, remedy=remedy)
