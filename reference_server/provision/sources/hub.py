"""`hf:` models: huggingface_hub finds the file, signs in and says its digest; the bytes come by the one way out.

A repository without a path means its only GGUF file. The hub's Xet protocol makes connections of its own, and is off.

Source: ORCH-3090, OC-POLICY-4043, OC-POLICY-4044.
"""

import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from urllib.parse import urlsplit

import httpx
import huggingface_hub
from huggingface_hub import constants
from huggingface_hub.errors import HfHubHTTPError, OfflineModeIsEnabled
from huggingface_hub.utils._headers import build_hf_headers
from huggingface_hub.utils._http import default_client_factory

from reference_server.policy.clients import http_client
from reference_server.policy.gateway import Pass
from reference_server.provision.errors import ProvisionError
from reference_server.provision.reference import Reference
from reference_server.provision.sources import endpoints, web
from reference_server.provision.sources.offer import Offer

SHA256 = re.compile(r"[0-9a-f]{64}")
_lock = threading.Lock()  # the hub's client is one for the process


@contextmanager
def offer(reference: Reference, held: Pass) -> Iterator[Offer]:
    """What the hub says of the file."""
    try:
        with _lock:
            path, found = _ask(reference, held)
    except (HfHubHTTPError, OfflineModeIsEnabled, httpx.HTTPError, OSError, ValueError) as error:
        first = str(error).partition("\n")[0][:200]
        raise ProvisionError(f"the hub does not give {reference.text}: {type(error).__name__}: {first}") from error
    digest = f"sha256:{found.etag}" if found.etag and SHA256.fullmatch(found.etag) else None
    is_home = urlsplit(found.location).netloc == urlsplit(endpoints.hub()).netloc
    headers = {name: value for name, value in build_hf_headers().items() if is_home or name.lower() != "authorization"}
    with http_client(held, follow_redirects=True) as client:
        yield Offer(
            path.rpartition("/")[2], found.size, digest, lambda start: web.read(client, found.location, start, headers)
        )


def _ask(reference: Reference, held: Pass) -> tuple[str, huggingface_hub.HfFileMetadata]:
    constants.HF_HUB_DISABLE_XET = True
    huggingface_hub.set_client_factory(lambda: http_client(held, follow_redirects=True))
    try:
        repo, revision = reference.parts["repo"], reference.parts.get("revision")
        path = reference.parts.get("path") or _only_gguf(repo, revision)
        url = huggingface_hub.hf_hub_url(repo, path, revision=revision, endpoint=endpoints.hub())
        return path, huggingface_hub.get_hf_file_metadata(url, endpoint=endpoints.hub())
    finally:
        huggingface_hub.set_client_factory(default_client_factory)  # this pass ends; the process' client is everybody's


def _only_gguf(repo: str, revision: str | None) -> str:
    names = huggingface_hub.HfApi(endpoint=endpoints.hub()).list_repo_files(repo, revision=revision)
    found = [name for name in names if name.endswith(".gguf")]
    if len(found) != 1:
        some = ", ".join(found[:10]) or "none"
        raise ProvisionError(f"hf:{repo} has {len(found)} GGUF files, so name one: hf:{repo}/FILE; there: {some}")
    return found[0]
