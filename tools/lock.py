"""Pins all dependencies, with hashes, for every platform: `tools/requirements/dev.txt`."""

import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

LOCK = Path("tools/requirements/dev.txt")
COMMAND = (
    *("pip", "compile", "-q", "--generate-hashes", "--no-annotate", "--universal", "--python-version", "3.11"),
    *("--group", "dev", "pyproject.toml", "-o", str(LOCK)),
    *("--custom-compile-command", "python -m tools lock"),
)
EXIT_COULD_NOT_RUN = 3


def lock(root: Path, *, find: Callable[[str], str | None] = shutil.which) -> int:
    """Pin again. Versions that still fit are kept: delete the file first to take the newest of all.

    Returns:
        The exit code: uv's, or 3 when there is no uv.
    """
    uv = find("uv")
    if uv is None:
        sys.stderr.write("python -m tools lock: uv is not on the PATH; install it with `python -m pip install uv`\n")
        return EXIT_COULD_NOT_RUN
    code = subprocess.run([uv, *COMMAND], cwd=root, check=False).returncode
    if code == 0:
        sys.stdout.write(f"wrote {LOCK}\n")
    return code
