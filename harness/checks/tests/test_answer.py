"""Every rule of an answer accepts what is right and catches what is broken."""

import json
from collections.abc import Callable, Iterator

import pytest

from harness.checks import answer as rules
from harness.checks.violation import Violation
from harness.expect import ViolationError, assert_error
from harness.history import Exchange

Rule = Callable[[Exchange], Iterator[Violation]]

FRESH = "3d6f0a8e-2b5c-4d1e-8f90-1a2b3c4d5e6f"
FULL = {
    "code": "ADMISSION_REJECT",
    "message": "full",
    "retriable": True,
    "retry_after_ms": 1250,
    "policy_label": "reject",
}
ADVICE = {"retry-after": "2", "x-backoff-ms": "1250"}


def exchange(
    status: int,
    body: object = None,
    *,
    sent: tuple[str, ...] = (),
    given: str | None = FRESH,
    headers: dict[str, str] | None = None,
) -> Exchange:
    """An answer, with its correlation ids sent and given."""
    told = {**(headers or {}), **({"x-correlation-id": given} if given is not None else {})}
    return Exchange(
        method="POST",
        path="/v1/tasks",
        request_headers=tuple(("x-correlation-id", value) for value in sent),
        request_body=b"",
        status=status,
        headers=tuple(told.items()),
        body=json.dumps(body).encode() if body is not None else b"",
        sent_ms=0.0,
        answered_ms=1.0,
    )


def without(field: str) -> dict[str, object]:
    return {name: value for name, value in FULL.items() if name != field}


@pytest.mark.req("ORCH-2007", "OC-CTRL-2052")
@pytest.mark.parametrize("rule", rules.CHECKS, ids=lambda rule: rule.__name__)
@pytest.mark.parametrize(
    "right",
    [
        pytest.param(exchange(202, {"task_id": "x"}), id="accepted"),
        pytest.param(exchange(202, sent=("mine",), given="mine"), id="echo"),
        pytest.param(exchange(400, {"code": "INVALID_PARAMS", "message": "m"}, sent=("x" * 129,)), id="too-long-id"),
        pytest.param(exchange(400, {"code": "INVALID_PARAMS", "message": "m"}, sent=("a", "b")), id="two-ids"),
        pytest.param(exchange(429, FULL, headers=ADVICE), id="backpressure"),
        pytest.param(exchange(404, {"code": "NOT_FOUND", "message": "m", "retriable": False}), id="unknown"),
    ],
)
def test_right_answers_pass(rule: Rule, right: Exchange) -> None:
    assert [] == list(rule(right))


@pytest.mark.req("ORCH-2006", "ORCH-2007", "OC-CTRL-2030", "OC-CTRL-2052")
@pytest.mark.parametrize(
    ("rule", "broken"),
    [
        pytest.param(rules.never_a_defect, exchange(0), id="no-answer"),
        pytest.param(rules.never_a_defect, exchange(500, {"code": "INTERNAL", "message": "m"}), id="defect"),
        pytest.param(rules.correlation_id, exchange(202, given=None), id="no-id"),
        pytest.param(rules.correlation_id, exchange(202, given="1"), id="not-a-uuid"),
        pytest.param(rules.correlation_id, exchange(202, given=FRESH.replace("-4", "-1", 1)), id="not-version-4"),
        pytest.param(rules.correlation_id, exchange(202, sent=("mine",)), id="id-of-its-own"),
        pytest.param(rules.correlation_id, exchange(400, sent=("mine",)), id="lost-on-an-error"),
        pytest.param(rules.correlation_id, exchange(400, sent=("x" * 129,), given="x" * 129), id="too-long-echoed"),
        pytest.param(rules.error_envelope, exchange(400), id="no-body"),
        pytest.param(rules.error_envelope, exchange(400, ["no", "object"]), id="no-object"),
        pytest.param(rules.error_envelope, exchange(400, {"message": "m"}), id="no-code"),
        pytest.param(rules.error_envelope, exchange(400, {"code": "OOPS"}), id="unknown-code"),
        pytest.param(rules.error_envelope, exchange(400, FULL, headers=ADVICE), id="code-of-another-status"),
        pytest.param(rules.error_envelope, exchange(429, FULL, headers={"x-backoff-ms": "1250"}), id="no-retry-after"),
        pytest.param(rules.error_envelope, exchange(429, FULL, headers={"retry-after": "2"}), id="no-backoff"),
        pytest.param(rules.error_envelope, exchange(429, without("policy_label"), headers=ADVICE), id="no-policy"),
        pytest.param(rules.error_envelope, exchange(429, without("retriable"), headers=ADVICE), id="no-retriable"),
        pytest.param(rules.error_envelope, exchange(429, without("retry_after_ms"), headers=ADVICE), id="no-wait"),
        pytest.param(
            rules.error_envelope, exchange(401, {"code": "UNAUTHENTICATED", "message": "m"}), id="no-challenge"
        ),
        pytest.param(
            rules.retry_advice_agrees, exchange(429, FULL, headers={**ADVICE, "retry-after": "1"}), id="rounded-down"
        ),
        pytest.param(
            rules.retry_advice_agrees, exchange(429, FULL, headers={**ADVICE, "retry-after": "1.25"}), id="not-whole"
        ),
        pytest.param(
            rules.retry_advice_agrees,
            exchange(429, FULL, headers={**ADVICE, "x-backoff-ms": "2000"}),
            id="other-backoff",
        ),
        pytest.param(
            rules.retry_advice_agrees, exchange(429, {**FULL, "retry_after_ms": 0}, headers=ADVICE), id="no-wait-at-all"
        ),
        pytest.param(
            rules.retry_advice_agrees, exchange(429, {**FULL, "retriable": False}, headers=ADVICE), id="not-retriable"
        ),
        pytest.param(
            rules.retry_advice_agrees,
            exchange(503, {"code": "POOL_UNREADY", "message": "m", "retriable": True}, headers={"retry-after": "1"}),
            id="header-without-field",
        ),
    ],
)
def test_broken_answers_are_caught(rule: Rule, broken: Exchange) -> None:
    (violation,) = rule(broken)

    assert violation.expected
    assert "POST /v1/tasks" in violation.at


@pytest.mark.req("OC-CTRL-2030")
def test_assert_error_accepts_the_code_it_names() -> None:
    assert_error(exchange(429, FULL, headers=ADVICE), "ADMISSION_REJECT")


@pytest.mark.req("OC-CTRL-2030")
@pytest.mark.parametrize(
    ("answer", "named"),
    [
        pytest.param(exchange(202, {"task_id": "x"}), "INVALID_PARAMS", id="accepted"),
        pytest.param(exchange(429, FULL, headers=ADVICE), "QUEUE_FULL_DROP_LRU", id="other-code"),
        pytest.param(exchange(400, FULL, headers=ADVICE), "ADMISSION_REJECT", id="other-status"),
        pytest.param(exchange(429, FULL), "ADMISSION_REJECT", id="without-advice"),
    ],
)
def test_assert_error_names_what_is_wrong(answer: Exchange, named: str) -> None:
    with pytest.raises(ViolationError) as caught:
        assert_error(answer, named)

    assert caught.value.violations
    assert "POST /v1/tasks" in str(caught.value)
