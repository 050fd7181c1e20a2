"""A name that comes twice is found, also by the glance that spares most bodies a second reading."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from contracts.models.control import CatalogModel
from contracts.models.data import Task
from reference_server.web.body import _is_distinct

NAMES = st.sampled_from([*Task.__struct_fields__, "x"])
TEXTS = st.text(max_size=12) | NAMES | NAMES.map(lambda name: f'"{name}":')


def written(name: str, *, escaped: bool) -> str:
    """A name as JSON may spell it."""
    return f'"\\u{ord(name[0]):04x}{name[1:]}"' if escaped else json.dumps(name)


@pytest.mark.req("ORCH-2006")
@given(
    entries=st.lists(st.tuples(NAMES, TEXTS, st.booleans()), max_size=8),
    space=st.sampled_from(["", " ", "\n", "\t "]),
)
def test_a_glance_never_takes_a_name_that_comes_twice_for_one(entries: list[tuple[str, str, bool]], space: str) -> None:
    members = [f"{written(name, escaped=odd)}{space}:{space}{json.dumps(text)}" for name, text, odd in entries]
    raw = f"{{{','.join(members)}}}".encode()
    names: list[str] = []

    def seen(pairs: list[tuple[str, Any]]) -> None:
        names.extend(name for name, _ in pairs)

    json.loads(raw, object_pairs_hook=seen)
    assert not _is_distinct(raw, Task) or len(set(names)) == len(names)


@pytest.mark.req("ORCH-2006")
def test_a_plain_body_is_known_at_a_glance_and_one_with_objects_inside_is_not() -> None:
    plain = json.dumps({"task_id": "a", "prompt": 'say "prompt": twice\n'}).encode()

    assert _is_distinct(plain, Task)
    assert not _is_distinct(plain, CatalogModel)
