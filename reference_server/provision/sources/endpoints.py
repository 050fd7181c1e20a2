"""Mirrors that the operator set up in the environment, by the names that their own tools give them."""

import os

from reference_server.provision.reference import Scheme


def hub() -> str:
    """The Hugging Face hub, or its mirror."""
    return os.environ.get("HF_ENDPOINT", "https://huggingface.co").rstrip("/")


def object_store() -> str | None:
    """An object store with S3's API; None = Amazon's."""
    return os.environ.get("AWS_ENDPOINT_URL_S3") or os.environ.get("AWS_ENDPOINT_URL")


def mirrors(scheme: Scheme) -> tuple[str, ...]:
    """What a fetch of this scheme may reach inside the host's network too."""
    match scheme:
        case "hf":
            return (hub(),)
        case "s3":
            return tuple(url for url in (object_store(),) if url is not None)
        case "pypi":
            from reference_server.provision import package_index  # with its HTTP client, for this one only

            return package_index.mirrors()
        case _:
            return ()
