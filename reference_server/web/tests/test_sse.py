"""Frames as bytes, exactly."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reference_server.domain.transcript import ControlFrame
from reference_server.web.sse import encode


@pytest.mark.req("OC-CTRL-2020", "OC-CTRL-2025")
def test_a_token_is_one_event_with_its_id() -> None:
    assert b'id: 7\nevent: token\ndata: {"t":"Hel","i":4}\n\n' == encode(7, 4, ["Hel"])


@pytest.mark.req("OC-CTRL-2020")
@given(text=st.text(), number=st.integers(0, 10**6))
def test_whatever_the_text_an_event_has_one_data_line_and_gives_it_back(text: str, number: int) -> None:
    raw = encode(number, number, [text, None, ControlFrame("end", {"m": text})]).decode()

    first, second, rest = raw.split("\n\n")
    assert "" == rest
    assert {"t": text, "i": number} == json.loads(first.split("\ndata: ")[1])
    assert {"m": text} == json.loads(second.split("\ndata: ")[1])
