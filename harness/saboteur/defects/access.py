"""Who is let in."""

from harness.saboteur.defect import Exchange, Wire, answers, exchanges
from harness.saboteur.message import Answer, Request


def _let_in(request: Request, wire: Wire) -> None:
    if wire.token:  # a server that has just been started has let nobody in yet
        request.put("Authorization", f"Bearer {wire.token}")


@exchanges("ORCH-3035")
def everybody_is_let_in(request: Request, wire: Wire) -> Exchange:
    """No token is needed."""
    _let_in(request, wire)
    yield None


@exchanges("ORCH-3035", "OC-CTRL-2040")
def any_token_is_let_in(request: Request, wire: Wire) -> Exchange:
    """Any token will do."""
    if (request.header("authorization") or "").startswith("Bearer "):
        _let_in(request, wire)
    yield None


@exchanges("ORCH-3035", "OC-CTRL-2040")
def the_beginning_of_a_token_is_enough(request: Request, wire: Wire) -> Exchange:
    """A token is compared as far as it goes."""
    given = (request.header("authorization") or "").removeprefix("Bearer ")
    if len(given) > 8 and (wire.token.startswith(given) or given.startswith(wire.token)):
        _let_in(request, wire)
    yield None


@exchanges("ORCH-3035")
def a_token_in_the_address(request: Request, wire: Wire) -> Exchange:
    """A token in the query is taken."""
    if "token=" in request.path:
        _let_in(request, wire)
    yield None


@exchanges("ORCH-3035", at="POST /v1/tasks/*/cancel")
def strangers_may_cancel(request: Request, wire: Wire) -> Exchange:
    """A cancel needs no token."""
    _let_in(request, wire)
    yield None


@exchanges("ORCH-3035", at="GET /v1/status")
def the_status_is_for_everybody(request: Request, wire: Wire) -> Exchange:
    """The status needs no token."""
    _let_in(request, wire)
    yield None


@answers("OC-CTRL-2040")
def no_token_is_forbidden(answer: Answer, request: Request, wire: Wire) -> None:
    """A request without a token is answered 403."""
    if answer.status == 401:
        answer.refuse("FORBIDDEN")


@answers("OC-CTRL-2040")
def a_wrong_token_is_none(answer: Answer, request: Request, wire: Wire) -> None:
    """A wrong token is answered 401."""
    if answer.status == 403:
        answer.refuse("UNAUTHENTICATED")


@answers("ORCH-3035", "OC-CTRL-2030")
def nobody_says_how_to_authenticate(answer: Answer, request: Request, wire: Wire) -> None:
    """A 401 does not say how to authenticate."""
    answer.drop("WWW-Authenticate")


@answers("OC-CTRL-2070", at="GET /healthz")
def liveness_needs_a_token(answer: Answer, request: Request, wire: Wire) -> None:
    """Whoever asks whether the process lives needs a token."""
    answer.refuse("UNAUTHENTICATED")


@exchanges("OC-CTRL-2044")
def any_host_is_served(request: Request, wire: Wire) -> Exchange:
    """A request for another host is served."""
    request.put("Host", "127.0.0.1")
    request.drop("Origin")
    yield None
