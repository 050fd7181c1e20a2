"""Which model a pool wants, and what becomes of its replica when it cannot be brought."""

import asyncio
import hashlib
import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from reference_server.config import Config, Outbound
from reference_server.config_file import parse as parse_config
from reference_server.domain.catalog import Catalog, Entry
from reference_server.policy.tests.far_end import FarEnd, far_end
from reference_server.provision import cache, model_store, network, room
from reference_server.provision.errors import StoppedError
from reference_server.provision.reference import parse
from reference_server.provision.wanted import Wanted
from reference_server.runtime.launchers import FaultError
from reference_server.runtime.model_fetch import bring, wanted_by
from reference_server.runtime.model_files import ModelFiles, is_cached, remove_cached

GGUF = b"GGUF" + (3).to_bytes(4, "little") + bytes(16) + b"w" * 1_000
DIGEST = "sha256:" + hashlib.sha256(GGUF).hexdigest()


@pytest.fixture
def far(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[FarEnd]:
    """A server with a model, an empty cache, and rules that allow it."""
    monkeypatch.setenv(cache.CACHE_ENV, str(tmp_path / "cache"))
    network.follow(lambda: Outbound(schemes=("http",), private=("127.0.0.1",)))
    with far_end() as made:
        made.answers["/m.gguf"] = (200, {}, GGUF)
        yield made
    network.follow(Outbound)


def at(far: FarEnd, digest: str | None = DIGEST) -> Wanted:
    return Wanted(reference=parse(f"http://127.0.0.1:{far.port}/m.gguf"), digest=digest)


def config(model: str = "") -> Config:
    return parse_config(f"pools: [{{id: p, model_ref: 'hf:a/b/c.gguf'{model}}}]", name="test")


@pytest.mark.req("ORCH-3090", "OC-CONFIG-6026")
def test_a_pool_wants_its_own_source_else_the_catalogs_else_its_model_ref() -> None:
    own, catalog = config(", model: {source: 's3://bucket/m.gguf', digest: '" + DIGEST + "'}"), Catalog()
    ref = own.pools[0].model_ref

    first = wanted_by(own, own.pools[0], catalog, ref)
    assert first is not None
    assert ("s3://bucket/m.gguf", DIGEST) == (first.reference.text, first.digest)
    plain = wanted_by(config(), config().pools[0], catalog, ref)
    assert plain is not None
    assert (ref, None) == (plain.reference.text, plain.digest)
    catalog.add(Entry(id="entry", digest=DIGEST, body=b"{}", source_url="https://models.example/m.gguf"))
    registered = wanted_by(own, own.pools[0], catalog, "entry")
    assert registered is not None
    assert ("https://models.example/m.gguf", DIGEST) == (registered.reference.text, registered.digest)


@pytest.mark.req("ORCH-3090")
@pytest.mark.parametrize("model_ref", ["default", "file:/models/m.gguf", "org/model"])
def test_what_names_no_source_is_not_fetched(model_ref: str) -> None:
    assert wanted_by(config(), config().pools[0], Catalog(), model_ref) is None


@pytest.mark.req("ORCH-3090")
def test_a_reference_that_is_none_is_a_fault_of_the_configuration() -> None:
    with pytest.raises(FaultError) as caught:
        wanted_by(config(), config().pools[0], Catalog(), "s3:no-bucket")
    assert "misconfigured" == caught.value.fault.kind


@pytest.mark.req("ORCH-3091")
async def test_what_is_here_needs_no_fetch_and_what_is_not_says_so_when_fetching_is_off(far: FarEnd) -> None:
    with pytest.raises(FaultError, match=r"models\.fetch") as caught:
        await bring(at(far), may_fetch=False)
    assert "model-missing" == caught.value.fault.kind
    path = await bring(at(far), may_fetch=True)

    assert path == await bring(at(far), may_fetch=False)
    assert GGUF == await asyncio.to_thread(Path(path).read_bytes)


@pytest.mark.req("ORCH-3093", "ORCH-3091")
@pytest.mark.parametrize(
    ("digest", "outbound", "kind"),
    [
        pytest.param("sha256:" + "0" * 64, None, "mismatch", id="digest"),
        pytest.param(DIGEST, Outbound(mode="strict"), "model-missing", id="policy"),
        pytest.param(DIGEST, Outbound(enabled=False), "model-missing", id="off"),
    ],
)
async def test_why_a_model_could_not_be_brought_is_told_apart(
    far: FarEnd, digest: str, outbound: Outbound | None, kind: str
) -> None:
    if outbound is not None:
        network.follow(lambda: outbound)

    with pytest.raises(FaultError) as caught:
        await bring(at(far, digest), may_fetch=True)
    assert kind == caught.value.fault.kind


@pytest.mark.req("ORCH-3091")
async def test_a_download_that_stands_still_holds_nobody_up(far: FarEnd) -> None:
    is_asked, may_go_on = threading.Event(), threading.Event()

    def slow(_: object) -> tuple[int, dict[str, str], bytes]:
        is_asked.set()
        may_go_on.wait(30)
        return 200, {}, GGUF

    far.answers["/m.gguf"] = slow
    fetching = asyncio.ensure_future(bring(at(far), may_fetch=True))
    await asyncio.to_thread(is_asked.wait, 30)
    fetching.cancel()

    async with asyncio.timeout(5):
        await asyncio.wait({fetching})
    assert fetching.cancelled()
    may_go_on.set()


@pytest.mark.req("ORCH-3064", "ORCH-3062")
def test_a_model_that_was_fetched_for_an_entry_is_found_and_deleted_with_it(far: FarEnd) -> None:
    source = at(far).reference.text
    made = model_store.fetch(at(far))

    assert Path(made["path"]) == ModelFiles([]).find("entry", source)
    assert is_cached("entry", source)
    remove_cached("entry", source)
    assert not is_cached("entry", source)


@pytest.mark.req("ORCH-3042")
def test_who_has_stopped_wanting_a_model_gets_no_half_of_it(far: FarEnd) -> None:
    stop = threading.Event()
    stop.set()

    with pytest.raises(StoppedError):
        model_store.fetch(replace(at(far), stop=stop))
    assert [] == room.kept()
