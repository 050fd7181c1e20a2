"""Writes the generated files, or compares them with what their sources give now.

A generator is a function from the repository's root to texts by relative path, and depends on nothing else.

Source: OC-CONFIG-6010.
"""

import difflib
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

from tools import gen_client, gen_config, gen_models, gen_pacts, gen_readme
from tools.index import entries

Generator = Callable[[Path], Mapping[Path, str]]

GENERATORS: Sequence[Generator] = (
    gen_models.generate,
    gen_client.generate,
    gen_config.generate,
    gen_readme.generate,
    gen_pacts.generate,
    entries.generate,
)
FOLDERS = {Path("contracts/models"): "*.py", Path("contracts/pacts"): "*.json"}  # hold only generated ones of these


def outputs(root: Path, generators: Sequence[Generator] = GENERATORS) -> dict[Path, str]:
    """All generated texts, by path relative to `root`."""
    texts: dict[Path, str] = {}
    for generate in generators:
        texts.update(generate(root))
    return texts


def stale(root: Path, generators: Sequence[Generator] = GENERATORS) -> Iterator[tuple[Path, str]]:
    """Each file that is not what its sources give, with the difference; leftovers of former sources too."""
    wanted = outputs(root, generators)
    for path, text in sorted(wanted.items()):
        target = root / path
        old = target.read_text(encoding="utf-8") if target.exists() else ""
        if old != text:
            lines = difflib.unified_diff(old.splitlines(), text.splitlines(), "committed", "generated", lineterm="")
            yield path, "\n".join(lines)
    for folder, names in FOLDERS.items():
        for leftover in sorted((root / folder).glob(names)):
            path = leftover.relative_to(root)
            if path.name != "__init__.py" and path not in wanted:
                yield path, "no source gives this file any more: delete it"


def write(root: Path, generators: Sequence[Generator] = GENERATORS) -> list[Path]:
    """Bring all generated files up to date, leftovers out of the way; what is current is not touched.

    Returns:
        What was changed.
    """
    wanted = outputs(root, generators)
    changed = [path for path, _ in stale(root, generators)]
    for path in changed:
        target = root / path
        if path in wanted:
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_text(wanted[path], encoding="utf-8")
        else:
            target.unlink()
    return changed
