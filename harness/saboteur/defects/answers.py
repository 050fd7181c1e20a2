"""Any answer: correlation ids, envelopes, codes, and the advice that goes with a refusal."""

from harness.saboteur.defect import STREAM, Wire, answers
from harness.saboteur.message import NOBODY, Answer, Request

CORRELATION = "X-Correlation-Id"


@answers("OC-CTRL-2052")
def no_correlation_id(answer: Answer, request: Request, wire: Wire) -> None:
    """An answer has no correlation id."""
    answer.drop(CORRELATION)


@answers("OC-CTRL-2052")
def one_correlation_id_for_all(answer: Answer, request: Request, wire: Wire) -> None:
    """A request without an id gets the same one as every other."""
    if request.header(CORRELATION) is None:
        answer.put(CORRELATION, NOBODY)


@answers("OC-CTRL-2052")
def a_correlation_id_of_its_own(answer: Answer, request: Request, wire: Wire) -> None:
    """An id that was sent is replaced by another one."""
    answer.put(CORRELATION, f"00000000-0000-4000-8000-{wire.count('ids'):012d}")


@answers("OC-CTRL-2052")
def a_correlation_id_is_cut(answer: Answer, request: Request, wire: Wire) -> None:
    """A long id comes back without its end."""
    answer.put(CORRELATION, (answer.header(CORRELATION) or "")[:64])


@answers("OC-CTRL-2052", at=STREAM)
def a_stream_without_correlation_id(answer: Answer, request: Request, wire: Wire) -> None:
    """A stream carries no correlation id."""
    answer.drop(CORRELATION)


@answers("OC-CTRL-2053", at="POST /v1/tasks")
def a_bad_correlation_id_is_taken(answer: Answer, request: Request, wire: Wire) -> None:
    """An id that is not printable or too long is let in."""
    if answer.status == 400:
        answer.accept(request)


@answers("OC-CTRL-2053", at="**")
def a_bad_correlation_id_comes_back(answer: Answer, request: Request, wire: Wire) -> None:
    """An id that is refused stands in the message of its refusal."""
    if answer.status == 400:
        answer.set(message="not a correlation id: marker xxxx")


@answers("ORCH-2006", "OC-CTRL-2030")
def an_error_without_code(answer: Answer, request: Request, wire: Wire) -> None:
    """An error has a message and no code."""
    if answer.status >= 400:
        answer.set(code=None)


@answers("ORCH-2006", "OC-CTRL-2030")
def a_code_that_is_not_registered(answer: Answer, request: Request, wire: Wire) -> None:
    """An error has a code that the registry does not know."""
    if answer.status >= 400:
        answer.set(code="SOMETHING_WRONG")


@answers("ORCH-2006")
def an_error_as_a_page(answer: Answer, request: Request, wire: Wire) -> None:
    """An error is a page for people."""
    if answer.status >= 400:
        answer.body = b"<h1>Something is wrong</h1>"
        answer.put("Content-Type", "text/html")


@answers("OC-CTRL-2030")
def a_code_with_another_status(answer: Answer, request: Request, wire: Wire) -> None:
    """An error has another status than its code."""
    answer.status = 422 if 400 <= answer.status < 500 else answer.status


@answers("ORCH-2013")
def bad_input_finds_a_defect(answer: Answer, request: Request, wire: Wire) -> None:
    """Input that is wrong is answered 500."""
    if 400 <= answer.status < 500:
        answer.refuse("INTERNAL")


@answers("OC-CTRL-2037", at="**")
def noise_finds_a_defect(answer: Answer, request: Request, wire: Wire) -> None:
    """Bytes that are no HTTP are answered 500."""
    if answer.status == 400:
        answer.refuse("INTERNAL")


@answers("OC-CTRL-2045", at="**")
def a_slow_body_is_a_bad_one(answer: Answer, request: Request, wire: Wire) -> None:
    """A body that does not come in time is called wrong."""
    if answer.status == 408:
        answer.refuse("INVALID_PARAMS")


@answers("OC-CTRL-2033")
def nothing_is_found_wrong(answer: Answer, request: Request, wire: Wire) -> None:
    """An unknown path or id is a bad request."""
    if answer.status == 404:
        answer.refuse("INVALID_PARAMS")


@answers("OC-CTRL-2033")
def no_method_is_no_path(answer: Answer, request: Request, wire: Wire) -> None:
    """A method that a path does not have is answered 404."""
    if answer.status == 405:
        answer.refuse("NOT_FOUND")


@answers("OC-CTRL-2033")
def another_type_is_a_bad_body(answer: Answer, request: Request, wire: Wire) -> None:
    """A body of another media type is called wrong."""
    if answer.status == 415:
        answer.refuse("INVALID_PARAMS")


@answers("OC-CTRL-2035", at="**")
def a_large_body_is_a_bad_one(answer: Answer, request: Request, wire: Wire) -> None:
    """A body over the limit is called wrong."""
    if answer.status == 413:
        answer.refuse("INVALID_PARAMS")


@answers("OC-CTRL-2033", "ORCH-2013")
def a_bad_id_is_not_found(answer: Answer, request: Request, wire: Wire) -> None:
    """What is no UUID in a path is answered 404."""
    if answer.status == 400 and request.body == b"" and request.method:
        answer.refuse("NOT_FOUND")


@answers("OC-CTRL-2034", at="**")
def nobody_says_which_field(answer: Answer, request: Request, wire: Wire) -> None:
    """The refusal of a body does not name the field at fault."""
    if answer.status == 400:
        answer.set(message="the body is not valid")


@answers("OC-CTRL-2032", "ORCH-2007")
def nobody_says_whether_to_retry(answer: Answer, request: Request, wire: Wire) -> None:
    """An error does not say whether the same request can succeed later."""
    answer.set(retriable=None)


@answers("ORCH-2007")
def no_retry_after(answer: Answer, request: Request, wire: Wire) -> None:
    """A 429 has no `Retry-After`."""
    answer.drop("Retry-After")


@answers("OC-CTRL-2011", "ORCH-2007")
def a_lying_retry_after(answer: Answer, request: Request, wire: Wire) -> None:
    """`Retry-After` is another wait than `retry_after_ms`."""
    if (given := answer.header("Retry-After")) is not None:
        answer.put("Retry-After", str(int(given) + 7))


@answers("OC-CTRL-2011", "ORCH-2007")
def two_backoffs(answer: Answer, request: Request, wire: Wire) -> None:
    """`X-Backoff-Ms` is another wait than `retry_after_ms`."""
    if (given := answer.header("X-Backoff-Ms")) is not None:
        answer.put("X-Backoff-Ms", str(int(given) + 1))


@answers("OC-CTRL-2011", "ORCH-2007")
def a_429_for_ever(answer: Answer, request: Request, wire: Wire) -> None:
    """A 429 says that it is not retriable."""
    if answer.status == 429:
        answer.set(retriable=False)


@answers("OC-CTRL-2011")
def a_429_of_another_code(answer: Answer, request: Request, wire: Wire) -> None:
    """A 429 has a code of another status."""
    if answer.status == 429:
        answer.set(code="POOL_UNREADY")


@answers("OC-CORE-1043", at="POST /v1/tasks")
def come_back_in_a_year(answer: Answer, request: Request, wire: Wire) -> None:
    """A full queue asks for a wait that is out of all proportion."""
    if answer.status == 429:
        _tell_to_wait(answer, 31_536_000_000)


@answers("OC-CORE-1045", at="POST /v1/tasks")
def told_to_wait_too_long(answer: Answer, request: Request, wire: Wire) -> None:
    """A full queue asks for a wait that is far longer than it takes until there is room."""
    if answer.status == 429:
        _tell_to_wait(answer, 6_000)


@answers("OC-CORE-1044", at="POST /v1/tasks")
def told_to_wait_too_short(answer: Answer, request: Request, wire: Wire) -> None:
    """A full queue asks for a quarter of the wait that it takes until there is room."""
    if answer.status == 429:
        _tell_to_wait(answer, max(1, answer.json["retry_after_ms"] // 5))


@answers("OC-CTRL-2036")
def unready_without_a_hint(answer: Answer, request: Request, wire: Wire) -> None:
    """A 503 that a wait can cure does not say how long."""
    if answer.status == 503:
        answer.drop("Retry-After", "X-Backoff-Ms")


@answers("OC-POOL-3013", "ORCH-3018", at="POST /v1/tasks")
def an_outage_is_a_pause(answer: Answer, request: Request, wire: Wire) -> None:
    """A pool without any replica says that it is not ready."""
    if (answer.json or {}).get("code") == "POOL_UNAVAILABLE":
        answer.set(code="POOL_UNREADY")


@answers("ORCH-3091", "OC-POOL-3013", at="POST /v1/tasks")
def a_pause_is_an_outage(answer: Answer, request: Request, wire: Wire) -> None:
    """A pool that is not ready says that it is unavailable."""
    if (answer.json or {}).get("code") == "POOL_UNREADY":
        answer.set(code="POOL_UNAVAILABLE")


@answers("ORCH-3091", at="POST /v1/tasks")
def a_missing_model_takes_time(answer: Answer, request: Request, wire: Wire) -> None:
    """A task for a model that is missing is answered late."""
    answer.hold_ms = 2_500.0


@answers("OC-ADAPT-5002", "OC-ADAPT-5021", "OC-CTRL-2033", at="**")
def unknown_paths_answer(answer: Answer, request: Request, wire: Wire) -> None:
    """A path that the API does not have answers 200."""
    known = ("/v1/tasks/", "/v1/sessions/", "/v1/pools/", "/v1/artifacts/", "/v1/catalog/")
    if answer.status == 404 and not request.path.startswith(known):
        answer.become(200, {})


def _tell_to_wait(answer: Answer, wait_ms: int) -> None:
    """The same wait in the body and in both headers."""
    answer.set(retry_after_ms=wait_ms)
    answer.put("X-Backoff-Ms", str(wait_ms))
    answer.put("Retry-After", str(-(-wait_ms // 1000)))
