"""Engines asked directly: what counts as an answer."""

import httpx
import pytest
import respx

from harness.engines.direct import Decoded, EngineDoesNotTellError, LlamaCppDirect, require_steps

URL = "http://engine"


def answered(told: int, tokens: int) -> dict[str, object]:
    """llama-server's answer, which leaves out what is part of a character."""
    step = {"id": 1, "token": "a", "bytes": [97], "logprob": -0.1, "top_logprobs": []}
    whole = {"content": "a" * told, "tokens_evaluated": 3, "tokens_predicted": tokens, "stop_type": "limit"}
    return {**whole, "tokens": [1] * tokens, "completion_probabilities": [step] * told}


@pytest.mark.req("ORCH-3050")
@pytest.mark.parametrize("told", [0, 11, 32])
def test_a_text_of_characters_in_several_tokens_is_an_answer(respx_mock: respx.MockRouter, told: int) -> None:
    respx_mock.post(f"{URL}/completion").mock(return_value=httpx.Response(200, json=answered(told, 32)))

    answer = LlamaCppDirect(URL).decode("x", seed=1, max_tokens=32, top=1)

    assert (told, 32) == (len(answer.steps), answer.tokens_out)


@pytest.mark.req("ORCH-3051")
@pytest.mark.parametrize(("told", "is_enough"), [(0, False), (15, False), (16, True), (32, True)])
def test_an_engine_that_hides_its_log_probabilities_is_found(
    respx_mock: respx.MockRouter, told: int, *, is_enough: bool
) -> None:
    respx_mock.post(f"{URL}/completion").mock(return_value=httpx.Response(200, json=answered(told, 32)))
    engine = LlamaCppDirect(URL)
    answer: Decoded = engine.decode("x", seed=1, max_tokens=32, top=20)

    if is_enough:
        require_steps(engine, answer)
    else:
        with pytest.raises(EngineDoesNotTellError, match=f"of {told} tokens of 32"):
            require_steps(engine, answer)


@pytest.mark.req("ORCH-3050")
@pytest.mark.parametrize(("stop_type", "text"), [("limit", "ab"), ("eos", "ab\ufffd")])
def test_a_character_that_the_limit_cut_off_is_no_text(respx_mock: respx.MockRouter, stop_type: str, text: str) -> None:
    answer = {**answered(2, 3), "content": "ab\ufffd", "stop_type": stop_type}
    respx_mock.post(f"{URL}/completion").mock(return_value=httpx.Response(200, json=answer))

    assert text == LlamaCppDirect(URL).decode("x", seed=1, max_tokens=3).text
