"""The link check, with one link of each kind that leads nowhere."""

from pathlib import Path

import pytest

from tools import links


@pytest.fixture
def root(tmp_path: Path) -> Path:
    (tmp_path / "docs").mkdir()
    (tmp_path / "docs" / "other.md").write_text("# Two words, `code`\n\n## Two\n")
    (tmp_path / "LICENSE").write_text("text\n")
    return tmp_path


@pytest.mark.req("OC-TEST-7006")
@pytest.mark.parametrize(
    ("text", "problem"),
    [
        pytest.param("[x](docs/none.md)", "README.md: docs/none.md: no such file", id="no-file"),
        pytest.param("![x](none.png)", "README.md: none.png: no such file", id="no-image"),
        pytest.param('[x](none.md "title")', "README.md: none.md: no such file", id="with-title"),
        pytest.param("[x][y]\n\n[y]: none.md\n", "README.md: none.md: no such file", id="reference"),
        pytest.param("[x](docs/other.md#three)", "README.md: docs/other.md#three: no such heading", id="no-heading"),
        pytest.param("[x](#nowhere)", "README.md: #nowhere: no such heading", id="no-own-heading"),
        pytest.param("[x](../)", "README.md: ../: leads out of the repository", id="outside"),
        pytest.param(
            "[x](/LICENSE)", "README.md: /LICENSE: an absolute path means another place on every host", id="absolute"
        ),
    ],
)
def test_a_link_to_nowhere_is_found(root: Path, text: str, problem: str) -> None:
    (root / "README.md").write_text(f"# Title\n\n{text}\n")

    assert [problem] == links.broken(root)


@pytest.mark.parametrize(
    "text",
    [
        pytest.param("[x](docs/other.md) [y](docs/) [z](LICENSE)", id="files-and-folders"),
        pytest.param("[x](docs/other.md#two-words-code) [y](#title)", id="headings"),
        pytest.param("[x](https://example.org/none.md) [y](mailto:a@example.org)", id="elsewhere"),
        pytest.param("`[x](none.md)`\n\n```\n[y](none.md)\n```\n", id="code"),
    ],
)
def test_what_leads_somewhere_or_is_no_link_passes(root: Path, text: str) -> None:
    (root / "README.md").write_text(f"# Title\n\n{text}\n")

    assert [] == links.broken(root)


def test_hidden_folders_and_leftovers_are_not_read(root: Path) -> None:
    for name in (".venv", "out"):
        (root / name).mkdir()
        (root / name / "a.md").write_text("[x](none.md)\n")

    assert [] == links.broken(root)
