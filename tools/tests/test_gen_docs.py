"""The generated pages: the index of the pacts, the README's map."""

from pathlib import Path

import pytest

from tools import gen_pacts, gen_readme

PACT = {
    "consumer": {"name": "orchestrator"},
    "provider": {"name": "vllm"},
    "interactions": [
        {
            "description": "a completion | streamed",
            "request": {"method": "POST", "path": "/v1/completions"},
            "providerStates": [{"name": "a model is loaded"}],
        },
        {"description": "a token frame"},
    ],
}


def test_every_interaction_of_every_pact_has_a_row() -> None:
    *_, first, second = gen_pacts.index([PACT]).splitlines()

    assert "| orchestrator | vllm | a completion \\| streamed | `POST /v1/completions` | a model is loaded |" == first
    assert "| orchestrator | vllm | a token frame | message |  |" == second


def test_the_map_follows_the_docstrings_and_leaves_the_rest_of_the_readme_alone(tmp_path: Path) -> None:
    (tmp_path / "README.md").write_text(f"before\n{gen_readme.BEGIN}old\n{gen_readme.END}after\n")
    for name, text in (("tools", '"""Tools.\n\nMore."""'), ("tools/tests", '"""No."""'), ("tools/index", "")):
        (tmp_path / name).mkdir()
        (tmp_path / name / "__init__.py").write_text(text)

    text = gen_readme.generate(tmp_path)[gen_readme.README]

    assert (
        f"before\n{gen_readme.BEGIN}| package | what |\n|---|---|\n| `tools` | Tools |\n{gen_readme.END}after\n" == text
    )


@pytest.mark.parametrize("text", ["no place", gen_readme.BEGIN], ids=["none", "no-end"])
def test_a_readme_without_a_place_for_the_map_is_an_error(tmp_path: Path, text: str) -> None:
    (tmp_path / "README.md").write_text(text)

    with pytest.raises(gen_readme.NoPlaceError):
        gen_readme.generate(tmp_path)
