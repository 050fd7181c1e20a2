"""`oci:` models, through oras: the one layer of an artifact, or the one that is titled as a GGUF file.

Source: ORCH-3090, OC-POLICY-4043, OC-POLICY-4044.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

import oras.client
import requests
from oras.container import Container

from reference_server.policy.clients import ca_file, requests_session
from reference_server.policy.gateway import Pass
from reference_server.provision import network
from reference_server.provision.errors import ProvisionError
from reference_server.provision.reference import Reference
from reference_server.provision.sources.offer import CHUNK_BYTES, Offer

TITLE = "org.opencontainers.image.title"


@contextmanager
def offer(reference: Reference, held: Pass) -> Iterator[Offer]:
    """What the registry says of the artifact."""
    parts = reference.parts
    client = oras.client.OrasClient(
        hostname=parts["host"], insecure=network.is_plain(parts["host"]), tls_verify=ca_file()
    )
    requests_session(client.session, held)
    client.do_request = partial(type(client).do_request.__wrapped__, client)  # without minutes of retries
    container = _container(parts)
    try:
        layer = _layer(client.get_manifest(container), reference)
        name = layer.get("annotations", {}).get(TITLE, "").rpartition("/")[2] or f"{parts['name'].rpartition('/')[2]}"
        yield Offer(name, int(layer["size"]), layer["digest"], lambda start: _read(client, container, layer, start))
    except (requests.RequestException, ValueError, KeyError, TypeError, AttributeError) as error:
        raise ProvisionError(f"the registry does not give {reference.text}: {type(error).__name__}") from error


def _container(parts: dict[str, str]) -> Container:
    """Field by field: oras itself would take a host without a dot, as `registry`, for a part of docker.io."""
    namespace, _, repository = parts["name"].rpartition("/")
    made = Container(repository, registry=parts["host"])
    made.namespace = namespace or None
    made.tag, made.digest = parts.get("tag", made.tag), parts.get("digest")
    return made


def _layer(manifest: dict[str, Any], reference: Reference) -> dict[str, Any]:
    layers: list[dict[str, Any]] = manifest["layers"]
    titled = [layer for layer in layers if str(layer.get("annotations", {}).get(TITLE, "")).endswith(".gguf")]
    found = titled if len(layers) != 1 else layers
    if len(found) != 1:
        raise ProvisionError(f"{reference.text} has {len(layers)} layers, of which {len(titled)} are titled *.gguf")
    return found[0]


def _read(client: Any, container: Container, layer: dict[str, Any], start: int) -> Iterator[bytes] | None:
    if start >= int(layer["size"]):
        return iter(())
    client.headers = {"Range": f"bytes={start}-"} if start else {}
    answer = client.get_blob(container, layer["digest"], stream=True)
    if start and answer.status_code == 200:
        answer.close()
        return None
    answer.raise_for_status()
    return _chunks(answer)


def _chunks(answer: requests.Response) -> Iterator[bytes]:
    try:
        with answer:
            yield from answer.iter_content(CHUNK_BYTES)
    except requests.RequestException as error:
        raise ProvisionError(f"the download broke off ({type(error).__name__}); fetch again to go on") from error
