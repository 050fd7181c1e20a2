"""`s3:` models, through obstore. Keys come from AWS_ACCESS_KEY_ID and its like; without them nothing is signed, and no
metadata service is asked for any.

Source: ORCH-3090, OC-POLICY-4043, OC-POLICY-4044.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import TYPE_CHECKING

import obstore
from obstore.exceptions import BaseError
from obstore.store import S3Store

from reference_server.policy.clients import ca_file
from reference_server.policy.gateway import Pass
from reference_server.provision.errors import ProvisionError
from reference_server.provision.reference import Reference
from reference_server.provision.sources import endpoints
from reference_server.provision.sources.offer import CHUNK_BYTES, Offer

if TYPE_CHECKING:
    from obstore.store import S3Config


@contextmanager
def offer(reference: Reference, held: Pass) -> Iterator[Offer]:
    """What the store says of the object."""
    store, key = _store(reference.parts["bucket"], held), reference.parts["path"]
    try:
        size = obstore.head(store, key)["size"]
    except (BaseError, OSError) as error:
        raise ProvisionError(f"the object store does not give {reference.text}: {_first_line(error)}") from error
    yield Offer(reference.name, size, None, lambda start: _read(store, key, start, size))


def _store(bucket: str, held: Pass) -> S3Store:
    keys = {
        name: os.environ[f"AWS_{name.upper()}"]
        for name in ("access_key_id", "secret_access_key", "session_token")
        if os.environ.get(f"AWS_{name.upper()}")
    }
    config: S3Config = {
        "region": os.environ.get("AWS_REGION") or os.environ.get("AWS_DEFAULT_REGION") or "us-east-1",
        "skip_signature": not keys,
    }
    if url := endpoints.object_store():
        config["endpoint"] = url
    if "access_key_id" in keys:
        config["access_key_id"] = keys["access_key_id"]
        config["secret_access_key"] = keys.get("secret_access_key", "")
    if "session_token" in keys:
        config["session_token"] = keys["session_token"]
    return S3Store(
        bucket,
        config=config,
        client_options={
            "proxy_url": held.proxy_url,
            "allow_http": True,  # whether http may be is the gateway's to say
            "connect_timeout": timedelta(seconds=30),
            "read_timeout": timedelta(seconds=60),
            "timeout": timedelta(days=1),
            "root_certificate": _authorities(),
        },
        retry_config={"max_retries": 2, "retry_timeout": timedelta(seconds=20)},
    )


def _authorities() -> bytes:
    with open(ca_file(), "rb") as file:  # noqa: PTH123 - a path that others configured
        return file.read()


def _read(store: S3Store, key: str, start: int, size: int) -> Iterator[bytes]:
    if start >= size:
        return
    try:
        got = obstore.get(store, key, options={"range": {"offset": start}} if start else {})
        for chunk in got.stream(min_chunk_size=CHUNK_BYTES):
            yield bytes(chunk)
    except (BaseError, OSError) as error:
        raise ProvisionError(f"the download broke off ({_first_line(error)}); fetch again to go on") from error


def _first_line(error: Exception) -> str:
    """Without the debug text that follows, which quotes whole requests."""
    return str(error).partition("\n")[0][:200]
