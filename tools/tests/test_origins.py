"""The bugs of peers that stand behind checks: each is named where it is held, and the decision's table says where."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from tools import tree

ROOT = Path(__file__).resolve().parents[2]
TABLE = Path("contracts/decisions/0014-chaos.md")
ORIGINS = [f"T{number}" for number in range(1, 23)]
ROW = re.compile(r"^\| (?P<origin>T\d+) \|[^|]*\|(?P<checks>[^|]*)\|(?P<chaos>[^|]*)\|$", re.MULTILINE)
NAMED = re.compile(r"\b(T\d{1,2})[:,] ")
QUOTED = re.compile(r"`([^`]+)`")


def named(root: Path) -> dict[str, set[str]]:
    """The checks that name each origin: features, tests and rules."""
    found: dict[str, set[str]] = {}
    for path in tree.files(root, {".py", ".feature"}):
        name = path.relative_to(root).as_posix()
        if "tests/" in name or name.startswith(("features/", "chaos/")):
            for origin in NAMED.findall(path.read_text("utf-8")):
                found.setdefault(origin, set()).add(name)
    return found


def wrong(root: Path) -> Iterator[str]:
    """Where table and checks say different things."""
    checks, rows = named(root), {row["origin"]: row for row in ROW.finditer((root / TABLE).read_text("utf-8"))}
    chaos = "\n".join(path.read_text("utf-8") for path in tree.files(root / "chaos", {".py"}))
    for origin in dict.fromkeys((*ORIGINS, *checks, *rows)):
        told = set(QUOTED.findall(rows[origin]["checks"])) if origin in rows else set()
        yield from (f"{origin}: {name} does not name it" for name in sorted(told - checks.get(origin, set())))
        yield from (f"{origin}: not in the table: {name}" for name in sorted(checks.get(origin, set()) - told))
        if not told:
            yield f"{origin}: no check"
        for name in QUOTED.findall(rows[origin]["chaos"]) if origin in rows else ():
            known = f"def {name}(" in chaos or f'"{name.removesuffix("@engine")}"' in chaos
            yield from () if known else (f"{origin}: chaos has no {name}",)


def test_every_bug_of_a_peer_is_named_at_a_check_and_the_table_says_at_which() -> None:
    assert [] == list(wrong(ROOT))


@pytest.mark.req("OC-TEST-7006")
@pytest.mark.parametrize(
    ("cells", "problems"),
    [
        pytest.param("`features/a.feature` | `cut@engine`, `one_end`", [], id="as-it-is"),
        pytest.param(
            "`features/b.feature` | ",
            ["features/b.feature does not name it", "not in the table: features/a.feature"],
            id="another-file",
        ),
        pytest.param("somewhere | ", ["not in the table: features/a.feature", "no check"], id="no-file"),
        pytest.param("`features/a.feature` | `gone`", ["chaos has no gone"], id="no-such-rule"),
    ],
)
def test_a_stale_row_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, cells: str, problems: list[str]) -> None:
    origin = ORIGINS[0]
    monkeypatch.setattr("tools.tests.test_origins.ORIGINS", [origin])
    for name, text in {
        "features/a.feature": f"  # {origin}: a bug of a peer\n",
        "features/b.feature": f"  # {origin} is not the name of it\n",
        "chaos/rules.py": 'def one_end(facts): ...\nKIND = "cut"\n',
        str(TABLE): f"| {origin} | a bug | {cells} |\n",
    }.items():
        (tmp_path / name).parent.mkdir(exist_ok=True, parents=True)
        (tmp_path / name).write_text(text)

    assert [f"{origin}: {problem}" for problem in problems] == list(wrong(tmp_path))
