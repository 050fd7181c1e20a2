"""`hf:` models: huggingface_hub finds the files, signs in and says their digests; the bytes come by the one way out.

A repository without a path means its only GGUF file, and all that an engine needs of it where it has none. The hub's
Xet protocol makes connections of its own, and is off.

Source: ORCH-3043, ORCH-3090, OC-POLICY-4043, OC-POLICY-4044.
"""

import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from urllib.parse import urlsplit

import httpx
import huggingface_hub
from huggingface_hub import constants
from huggingface_hub.errors import HfHubHTTPError, OfflineModeIsEnabled
from huggingface_hub.hf_api import RepoSibling
from huggingface_hub.utils._headers import build_hf_headers
from huggingface_hub.utils._http import default_client_factory

from reference_server.policy.clients import http_client
from reference_server.policy.gateway import Pass
from reference_server.provision.errors import ProvisionError
from reference_server.provision.reference import Reference
from reference_server.provision.sources import endpoints, web
from reference_server.provision.sources.offer import Offer, Snapshot

SHA1, SHA256 = re.compile(r"[0-9a-f]{40}"), re.compile(r"[0-9a-f]{64}")
FILES_MAX = 10_000
NONSENSE = (
    ValueError,
    KeyError,
    TypeError,
    AttributeError,
    httpx.InvalidURL,
)  # its client reads answers without looking at their types
_lock = threading.Lock()  # the hub's client is one for the process
_Found = tuple[str, huggingface_hub.HfFileMetadata] | huggingface_hub.ModelInfo


@contextmanager
def offer(reference: Reference, held: Pass) -> Iterator[Offer | Snapshot]:
    """What the hub says of the file, or of the repository."""
    with http_client(held, follow_redirects=True) as client:
        try:
            with _lock:
                found = _ask(reference, held)
            made = _file(client, *found) if isinstance(found, tuple) else _snapshot(client, reference, found)
        except (HfHubHTTPError, OfflineModeIsEnabled, httpx.HTTPError, OSError, *NONSENSE) as error:
            first = str(error).partition("\n")[0][:200]
            is_closed = isinstance(error, HfHubHTTPError) and error.response.status_code in {401, 403}
            hint = "; where it is private or gated, HF_TOKEN has to be of somebody who may have it" if is_closed else ""
            why = f"{type(error).__name__}: {first}{hint}"
            raise ProvisionError(f"the hub does not give {reference.text}: {why}") from error
        yield made


def _file(client: httpx.Client, path: str, found: huggingface_hub.HfFileMetadata) -> Offer:
    digest = f"sha256:{found.etag}" if found.etag and SHA256.fullmatch(found.etag) else None
    is_home = urlsplit(found.location).netloc == urlsplit(endpoints.hub()).netloc
    headers = {name: value for name, value in build_hf_headers().items() if is_home or name.lower() != "authorization"}
    return Offer(
        path.rpartition("/")[2], found.size, digest, lambda start: web.read(client, found.location, start, headers)
    )


def _snapshot(client: httpx.Client, reference: Reference, found: huggingface_hub.ModelInfo) -> Snapshot:
    repo, commit, files = reference.parts["repo"], found.sha or "", found.siblings or []
    if not SHA1.fullmatch(commit) or len(files) > FILES_MAX:
        raise ProvisionError(f"the hub tells no sane commit of {reference.text}: {commit[:40]!r}, {len(files)} files")
    return Snapshot(commit, tuple(_file_of(client, repo, commit, file) for file in files))


def _file_of(client: httpx.Client, repo: str, commit: str, file: RepoSibling) -> Offer:
    url = huggingface_hub.hf_hub_url(repo, file.rfilename, revision=commit, endpoint=endpoints.hub())
    size: int | None
    if file.lfs is not None:
        size, digest = file.lfs.size, f"sha256:{file.lfs.sha256}" if SHA256.fullmatch(file.lfs.sha256) else None
    else:
        size, digest = file.size, f"sha1_git:{file.blob_id}" if file.blob_id and SHA1.fullmatch(file.blob_id) else None
    if not isinstance(size, int) or size < 0:
        raise ValueError(f"{file.rfilename} has a size of {size!r}")
    return Offer(file.rfilename, size, digest, partial(_read, client, url))


def _read(client: httpx.Client, url: str, start: int) -> Iterator[bytes] | None:
    return web.read(client, url, start, build_hf_headers())  # which a redirect to another host leaves behind


def _ask(reference: Reference, held: Pass) -> _Found:
    constants.HF_HUB_DISABLE_XET = True
    huggingface_hub.set_client_factory(lambda: http_client(held, follow_redirects=True))
    try:
        repo, revision = reference.parts["repo"], reference.parts.get("revision")
        path = reference.parts.get("path")
        if path is None:
            info = huggingface_hub.HfApi(endpoint=endpoints.hub()).model_info(
                repo, revision=revision, files_metadata=True
            )
            path = _only_gguf(reference, info)
            if path is None:
                return info
        url = huggingface_hub.hf_hub_url(repo, path, revision=revision, endpoint=endpoints.hub())
        return path, huggingface_hub.get_hf_file_metadata(url, endpoint=endpoints.hub())
    finally:
        huggingface_hub.set_client_factory(default_client_factory)  # this pass ends; the process' client is everybody's


def _only_gguf(reference: Reference, info: huggingface_hub.ModelInfo) -> str | None:
    """The one GGUF file; None where there is none."""
    found = [file.rfilename for file in info.siblings or () if file.rfilename.endswith(".gguf")]
    if len(found) > 1:
        repo, some = reference.parts["repo"], ", ".join(found[:10])
        raise ProvisionError(f"hf:{repo} has {len(found)} GGUF files, so name one: hf:{repo}/FILE; there: {some}")
    return found[0] if found else None
