"""Known gaps of an implementation: checks that fail today, each with its reason. Strict both ways.

    # gaps.yaml
    reload/a-drained-pool-comes-back-by-a-reload: "no reload yet, planned for 0.4"

A listed check that fails does not fail the run; one that passes does, until its line is removed.

Source: OC-TEST-7024.
"""

from pathlib import Path

import yaml

from harness.registry.check import require_id


class GapsError(ValueError):
    """A file that lists no gaps; the text says what is wrong and where."""


def load(path: Path) -> dict[str, str]:
    """The reasons by check.

    Raises:
        GapsError: the file cannot be read, or is not a mapping of checks to reasons.
    """
    try:
        found = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, yaml.YAMLError) as error:
        raise GapsError(f"{path}: {error}") from None
    if found is None:
        return {}
    if not isinstance(found, dict):
        raise GapsError(f"{path}: not a mapping of checks to reasons")
    for check, reason in found.items():
        try:
            require_id(str(check))
        except ValueError as error:
            raise GapsError(f"{path}: {error}") from None
        if not isinstance(reason, str) or not reason.strip():
            raise GapsError(f"{path}: {check} has no reason")
    return dict(found)
