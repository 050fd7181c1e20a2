"""The registry of codes, as the harness reads it."""

import pytest

from harness.error_codes import registry


@pytest.mark.req("ORCH-2007", "OC-CTRL-2030")
def test_a_refusal_for_a_full_queue_requires_its_advice() -> None:
    code = registry()["ADMISSION_REJECT"]

    assert (429, True) == (code.http, code.retriable)
    assert ("Retry-After", "X-Backoff-Ms") == code.required_headers
    assert {"policy_label", "retriable", "retry_after_ms"} == set(code.required_fields)


@pytest.mark.req("OC-CTRL-2030")
def test_a_code_that_only_ends_a_stream_has_no_status() -> None:
    assert registry()["CANCELED"].http is None
