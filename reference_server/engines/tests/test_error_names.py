"""What of an engine's error comes out: an engine may quote the prompt wherever it speaks."""

import json
from collections.abc import Callable

import pytest

from reference_server.engines import llamacpp, tgi, vllm
from reference_server.engines.base import EngineError

QUOTED = 'swordfish: {"prompt": "swordfish"}'
ERRORS = [llamacpp._error_of, vllm._error_of, tgi._error_of]


def body(kind: str) -> bytes:
    return json.dumps({"error": {"type": kind, "message": QUOTED}, "error_type": kind}).encode()


@pytest.mark.req("OC-ADAPT-5022", "OC-CTRL-2041")
@pytest.mark.parametrize("status", [400, 429, 500, 503])
@pytest.mark.parametrize("error_of", ERRORS, ids=["llamacpp", "vllm", "tgi"])
def test_an_engine_that_quotes_the_prompt_is_not_passed_on(
    error_of: Callable[[int, bytes], EngineError], status: int
) -> None:
    assert f"{status} unknown" == str(error_of(status, body(QUOTED)))
    assert f"{status} server_error" == str(error_of(status, body("server_error")))
