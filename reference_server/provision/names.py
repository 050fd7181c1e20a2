"""Names that sources give to files, before a path is made of them.

Source: ORCH-3204.
"""

from reference_server.provision.errors import ProvisionError

NAME_MAX = 200
OURS = frozenset({"manifest.json", "used"})  # beside a model, in its folder


def require_plain(name: str) -> str:
    """A name for a file beside our own. Raises `ProvisionError`."""
    if not name or len(name) > NAME_MAX or name in {".", "..", *OURS} or not name.isprintable():
        raise ProvisionError(f"{name[:80]!r} is no name for a file")
    if "/" in name or "\\" in name:
        raise ProvisionError(f"{name[:80]!r} would leave its folder")
    return name


def require_inside(path: str) -> str:
    """A path below a folder, step by step a name. Raises `ProvisionError`."""
    for step in path.split("/"):
        if step not in OURS:
            require_plain(step)
    return path
