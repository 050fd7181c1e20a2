"""Triton Inference Server with its Python backend, from NVIDIA's wheel, and a model repository to run it on.

The wheel is that of PyTriton, of which only the server inside is used. There is no TensorRT-LLM without a GPU: the
repository's one model, `ensemble`, has TensorRT-LLM's tensors and makes its text up, deterministically.

Source: ORCH-3057, ORCH-3200, OC-CONFIG-6024.
"""

import shutil
import sys
from pathlib import Path

from reference_server.provision import environment
from reference_server.provision.environment import Environment
from reference_server.provision.errors import ProvisionError
from reference_server.provision.work import Site

VERSION = "2.51"  # of the server in the wheel of PyTriton 0.7.0 (24.10)
CONFIG, MODEL = (Path(__file__).parent / "payload" / "triton" / name for name in ("config.pbtxt", "model.py"))


def recipe(version: str = VERSION, lock: Path | None = None) -> Environment:
    """How it is brought.

    Args:
        lock: of the operator's; None = the one that this version of llama-orch pins.
    """
    return Environment(
        engine="triton",
        version=version,
        lock=lock or environment.LOCKS / "triton.txt",
        furniture=(CONFIG, MODEL),
        furnish=_furnish,
        disk_bytes=700 * 10**6,
        glibc=(2, 35),
        pythons=("3.11", "3.12"),
    )


def _furnish(site: Site) -> dict[str, str]:
    """Enable the Python backend for this Python, and lay out the model repository.

    Gives `binary`, `backends` and `repository` (folders). Raises `ProvisionError`.
    """
    staging, final = site.staging, site.final
    python = "{}.{}".format(*sys.version_info[:2])
    server = Path("lib") / f"python{python}" / "site-packages" / "pytriton" / "tritonserver"
    stub = staging / server / "python_backend_stubs" / python / "triton_python_backend_stub"
    if not stub.is_file():
        raise ProvisionError(f"the wheel has no Python backend for Python {python}")
    target = staging / server / "backends" / "python" / stub.name
    shutil.copyfile(stub, target)
    for executable in (target, staging / server / "bin" / "tritonserver"):
        executable.chmod(0o755)
    model = staging / "repository" / "ensemble"
    (model / "1").mkdir(parents=True)
    shutil.copyfile(CONFIG, model / "config.pbtxt")
    shutil.copyfile(MODEL, model / "1" / "model.py")
    return {
        "binary": str(final / server / "bin" / "tritonserver"),
        "backends": str(final / server / "backends"),
        "repository": str(final / "repository"),
    }
