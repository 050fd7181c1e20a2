"""The client through every status of the contract: each operation with each documented answer, computed from it."""

import json
from collections.abc import Iterator
from typing import Any

import anyio
import httpx
import jsonschema_rs
import msgspec
import pytest
import respx

from contracts import client
from contracts.client import ApiError, AsyncOrchQueueClient, OrchQueueClient, UnexpectedAnswerError, models
from contracts.client.error_types import BY_CODE
from contracts.client.tests.contract import CONTRACT, Case, cases, operations

URL = "http://orchqueue.test"
TOKEN = "planted-token"
CASES = list(cases())
# One of each for all cases: respx answers below the connection pool, so that nothing is ever open.
BLOCKING = OrchQueueClient(URL, token=TOKEN)
ASYNC = AsyncOrchQueueClient(URL, token=TOKEN)


@pytest.fixture
def server() -> Iterator[respx.Router]:
    with respx.mock(base_url=URL, assert_all_called=True) as router:
        yield router


def arguments(case: Case) -> tuple[list[Any], dict[str, Any], str]:
    """What the method is called with, from the contract's examples, and the path that must come of it."""
    positional: list[Any] = []
    keywords: dict[str, Any] = {}
    path = case.call.path
    for parameter in case.request["parameters"]:
        if parameter["in"] == "path":
            positional.append(parameter["example"])
            path = path.replace("{id}", parameter["example"])
        elif parameter["name"] == "Last-Event-ID":
            keywords["last_event_id"] = parameter["example"]
        else:
            keywords["correlation_id"] = parameter["example"]
    if "requestBody" in case.request:
        positional.append(body_of(case))
    if case.media.startswith("application/openmetrics"):
        keywords["accept"] = case.media
    return positional, keywords, path


def body_of(case: Case) -> Any:
    """The first example of the request's body, as the client's type."""
    (annotation,) = (text for text in case.call.arguments.positional if "models." in text)
    content = case.request["requestBody"]["content"]["application/json"]
    example = next(iter(content["examples"].values()))["value"]
    return msgspec.convert(example, type=getattr(models, annotation.rpartition(".")[2]))


def answer(case: Case) -> httpx.Response:
    """The documented answer."""
    if case.media == "application/json":
        return httpx.Response(case.status, headers=case.headers, json=case.example)
    content = b"" if case.example is None else str(case.example).encode()
    return httpx.Response(case.status, headers={**case.headers, "Content-Type": case.media}, content=content)


def call(form: str, case: Case) -> Any:
    """What the client gives for the case: an answer, or the frames of a stream."""
    positional, keywords, _ = arguments(case)
    if form == "blocking":
        given = getattr(BLOCKING, case.call.name)(*positional, **keywords)
        return list(given) if case.call.is_stream else given

    async def ask() -> Any:
        given = getattr(ASYNC, case.call.name)(*positional, **keywords)
        return [event async for event in given] if case.call.is_stream else await given

    return anyio.run(ask)


@pytest.mark.req("ORCH-3101")
def test_every_operation_of_the_contract_has_a_method_in_both_forms() -> None:
    names = {call.name for call, _ in operations()}

    for form in (OrchQueueClient, AsyncOrchQueueClient):
        assert names == {name for name in vars(form) if not name.startswith("_")}
    assert {(call.operation_id, status) for call, operation in operations() for status in operation["responses"]} == {
        (case.call.operation_id, str(case.status)) for case in CASES
    }


@pytest.mark.req("ORCH-3101", "ORCH-2006")
@pytest.mark.parametrize("form", ["blocking", "async"])
@pytest.mark.parametrize("case", CASES, ids=str)
def test_a_documented_answer_is_given_as_its_type(server: respx.Router, case: Case, form: str) -> None:
    route = server.request(case.call.method, arguments(case)[2]).mock(return_value=answer(case))

    if case.status >= 400:
        with pytest.raises(ApiError) as raised:
            call(form, case)
        assert_is_refusal(raised.value, case)
    else:
        assert_is_success(call(form, case), case)

    assert_is_request(route.calls.last.request, case)


def assert_is_refusal(error: ApiError, case: Case) -> None:
    """By its code, with every field of the envelope."""
    assert BY_CODE[case.example["code"]] is type(error)
    given = {name: getattr(error, name) for name in case.example}
    assert case.example == given
    assert (case.status, case.headers["X-Correlation-Id"]) == (error.status, error.correlation_id)


def assert_is_success(given: Any, case: Case) -> None:
    """The example's own value, as the contract's type, with the documented headers."""
    if case.call.is_stream:
        after = dict(arguments(case)[1])["last_event_id"]
        ids = [event.id for event in given]
        assert ([] if case.status == 204 else list(range(after + 1, str(case.example).count("id: ")))) == ids
        return
    body = json.loads(msgspec.json.encode(given.body))
    assert (case.example, case.status) == (body, given.status)
    for name in case.headers:
        assert case.headers[name] == str(getattr(given, name.lower().removeprefix("x-").replace("-", "_")))


def assert_is_request(sent: httpx.Request, case: Case) -> None:
    """What went out is what the contract takes."""
    assert f"Bearer {TOKEN}" == sent.headers["Authorization"]
    assert "checkout-17" == sent.headers["X-Correlation-Id"]
    content = case.request.get("requestBody", {}).get("content", {})
    if content:
        schema = content["application/json"]["schema"]
        assert jsonschema_rs.validator_for(schema, validate_formats=True).is_valid(json.loads(sent.content))
        assert "application/json" == sent.headers["Content-Type"]
    else:
        assert b"" == sent.content


# ── answers that the contract does not know ──


def get_task(server: respx.Router, response: httpx.Response) -> Exception:
    """What the client raises for this answer."""
    server.get("/v1/tasks/t").mock(return_value=response)
    with OrchQueueClient(URL) as blocking, pytest.raises(client.OrchQueueError) as raised:
        blocking.get_task("t")
    return raised.value


@pytest.mark.req("OC-TEST-7006")
@pytest.mark.parametrize(
    "response",
    [
        pytest.param(httpx.Response(302, headers={"Location": "http://elsewhere.test/"}), id="a redirect"),
        pytest.param(httpx.Response(201, json={}), id="another success"),
        pytest.param(httpx.Response(502, text="<html>Bad gateway</html>"), id="a proxy's page"),
        pytest.param(httpx.Response(500, content=b"\xff"), id="no text"),
        pytest.param(httpx.Response(404, json={"error": "no"}), id="another envelope"),
        pytest.param(httpx.Response(200, json={"task_id": 7}), id="a wrong field"),
        pytest.param(
            httpx.Response(200, json={"task_id": "t", "state": "lost", "tokens_out": 0}), id="a state of no contract"
        ),
    ],
)
def test_an_answer_that_the_contract_does_not_know_is_unexpected(
    server: respx.Router, response: httpx.Response
) -> None:
    error = get_task(server, response)

    assert isinstance(error, UnexpectedAnswerError)
    assert response.status_code == error.status


@pytest.mark.req("ORCH-2006")
def test_a_code_that_is_not_known_yet_is_still_a_refusal(server: respx.Router) -> None:
    error = get_task(server, httpx.Response(418, json={"code": "NEW", "message": "m", "retriable": True}))

    assert type(error) is ApiError
    assert ("NEW", True, 418) == (error.code, error.retriable, error.status)


@pytest.mark.req("OC-CTRL-2032")
@pytest.mark.parametrize(
    ("headers", "wait_ms"),
    [
        pytest.param({"X-Backoff-Ms": "1250", "Retry-After": "2"}, 1250, id="milliseconds first"),
        pytest.param({"Retry-After": "2"}, 2000, id="seconds"),
        pytest.param({"Retry-After": "Wed, 21 Oct 2026 07:28:00 GMT"}, None, id="a date"),
        pytest.param({}, None, id="nothing"),
    ],
)
def test_the_wait_and_the_retriability_come_from_headers_and_registry_where_the_envelope_has_none(
    server: respx.Router, headers: dict[str, str], wait_ms: int | None
) -> None:
    error = get_task(server, httpx.Response(503, headers=headers, json={"code": "POOL_UNREADY", "message": "m"}))

    assert isinstance(error, client.errors.PoolUnreadyError)
    assert (True, wait_ms) == (error.retriable, error.retry_after_ms)


@pytest.mark.req("ORCH-3103")
@pytest.mark.parametrize("hostile", ["", ".", ".."])
def test_an_id_that_is_another_path_is_refused_before_anything_is_sent(hostile: str) -> None:
    with respx.mock(assert_all_called=False) as router, OrchQueueClient(URL) as blocking:
        with pytest.raises(ValueError, match="is no id"):
            blocking.verify_catalog_model(hostile)
        assert 0 == router.calls.call_count


@pytest.mark.req("ORCH-3103")
@pytest.mark.parametrize("hostile", ["../state", "a/b", "a?b=c", "a#b", "a%2fb", "\\..\\"])
def test_an_id_stays_one_segment_of_the_path(hostile: str) -> None:
    with respx.mock() as router, OrchQueueClient(URL) as blocking:
        route = router.route(method="POST").mock(return_value=httpx.Response(404, json={"code": "NOT_FOUND"}))
        with pytest.raises(client.errors.NotFoundError):
            blocking.verify_catalog_model(hostile)
        path = route.calls.last.request.url.raw_path

    assert (b"/v1/catalog/models/", b"/verify") == (path[:19], path[-7:])
    assert 5 == path.count(b"/")
    assert b"?" not in path


def test_the_token_is_in_no_text_of_the_client() -> None:
    with OrchQueueClient(URL, token=TOKEN) as blocking:
        assert TOKEN not in repr(vars(blocking))


def test_the_versions_agree() -> None:
    assert CONTRACT.version == models.API_VERSION
