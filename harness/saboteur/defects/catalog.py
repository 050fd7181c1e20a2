"""The catalog and the artifacts."""

from typing import Any

from harness.saboteur.defect import Exchange, Wire, answers, exchanges
from harness.saboteur.message import Answer, Request

MODELS = "POST /v1/catalog/models"
MODEL = "GET /v1/catalog/models/*"
VERIFY = "POST /v1/catalog/models/*/verify"
STATE = "POST /v1/catalog/models/*/state"
STORE = "POST /v1/artifacts"
ARTIFACT = "GET /v1/artifacts/*"
NO_DIGEST = "sha256:" + "f" * 64


def _code(answer: Answer) -> Any:
    return (answer.json or {}).get("code") if isinstance(answer.json, dict) else None


@answers("ORCH-3060", at=MODELS)
def registered_with_200(answer: Answer, request: Request, wire: Wire) -> None:
    """A registration is answered 200."""
    answer.status = 200 if answer.status == 201 else answer.status


@answers("ORCH-3090", at="POST /v1/tasks")
def a_catalog_id_is_no_name(answer: Answer, request: Request, wire: Wire) -> None:
    """A task that names its model by the catalog's id is refused."""
    named = str((request.json or {}).get("model_ref", "")) if isinstance(request.json, dict) else ""
    if answer.status == 202 and named.startswith("model-"):
        answer.refuse("INVALID_PARAMS")


@answers("ORCH-3060", at=MODEL)
def a_model_is_read_otherwise(answer: Answer, request: Request, wire: Wire) -> None:
    """A model is read with other tags than it was registered with."""
    if answer.status == 200:
        answer.set(tags=["another"])


@answers("ORCH-3060", "ORCH-3037", at=MODEL)
def catalog_entries_vanish(answer: Answer, request: Request, wire: Wire) -> None:
    """A model that was registered is not known."""
    if answer.status == 200:
        answer.refuse("NOT_FOUND")


@answers("ORCH-3060", at=MODELS)
def a_registration_is_taken_once(answer: Answer, request: Request, wire: Wire) -> None:
    """A registration that is sent again is refused."""
    if answer.status == 201 and wire.count((request.json or {}).get("id", "")):
        answer.refuse("CONFLICT")


@answers("ORCH-3060", at=MODELS)
def an_id_is_given_twice(answer: Answer, request: Request, wire: Wire) -> None:
    """An id is given to another content."""
    if answer.status == 409:
        answer.become(201, request.json)


@answers("ORCH-3061", at="POST /v1/catalog/**")
def any_entry_is_registered(answer: Answer, request: Request, wire: Wire) -> None:
    """An entry without a proper id, digest or state is taken."""
    if _code(answer) == "INVALID_PARAMS":
        answer.become(201 if request.line == MODELS else 202, request.json)


@answers("ORCH-3060", at=MODEL)
def unknown_models_are_known(answer: Answer, request: Request, wire: Wire) -> None:
    """A model that nobody registered is found."""
    if answer.status == 404:
        answer.become(200, {"id": request.path.rpartition("/")[2], "digest": NO_DIGEST})


@answers("ORCH-3063", "ORCH-3066", at=MODELS)
def nobody_is_distrusted(answer: Answer, request: Request, wire: Wire) -> None:
    """An entry that its trust policy refuses is registered."""
    if _code(answer) == "UNTRUSTED_ARTIFACT":
        answer.become(201, request.json)


@answers("ORCH-3063", at="**")
def what_is_refused_is_stored(answer: Answer, request: Request, wire: Wire) -> None:
    """An entry that was refused is stored all the same."""
    if request.line == MODELS and _code(answer) == "UNTRUSTED_ARTIFACT":
        wire.memory["refused"] = request.json
    elif answer.status == 404 and request.path.startswith("/v1/catalog/") and "refused" in wire.memory:
        answer.become(200, wire.memory["refused"])


@answers("ORCH-3066", at=MODELS)
def nobody_is_trusted(answer: Answer, request: Request, wire: Wire) -> None:
    """A source inside an allowed registry is refused."""
    if answer.status == 201 and "trust_policy" in (request.json or {}):
        answer.refuse("UNTRUSTED_ARTIFACT")


@answers("ORCH-3062", "ORCH-3065", at=VERIFY)
def everything_is_verified(answer: Answer, request: Request, wire: Wire) -> None:
    """Every model is verified, whatever its digest and signature."""
    answer.set(status="verified", warnings=[])


@answers("ORCH-3065", at=VERIFY)
def nobody_is_warned(answer: Answer, request: Request, wire: Wire) -> None:
    """A missing signature or SBOM is not said."""
    answer.set(warnings=[])


@answers("ORCH-3062", at="GET /metrics")
def verifications_are_not_counted(answer: Answer, request: Request, wire: Wire) -> None:
    """A verification shows in no counter."""
    lines = [line for line in answer.body.split(b"\n") if not line.startswith(b"catalog_verifications_total{")]
    answer.body = b"\n".join(lines)


@exchanges("ORCH-3064", at="DELETE /v1/catalog/models/*")
def a_model_is_not_deleted(request: Request, wire: Wire) -> Exchange:
    """A model that was deleted is still known."""
    yield Answer.to(request).become(204)


@answers("ORCH-3070", at="POST /v1/tasks")
def a_retired_model_takes_new_sessions(answer: Answer, request: Request, wire: Wire) -> None:
    """A new session on a retired model is admitted."""
    if _code(answer) == "MODEL_DEPRECATED":
        answer.accept(request)


@answers("ORCH-3072", at="**")
def a_retired_model_leaves_its_sessions(answer: Answer, request: Request, wire: Wire) -> None:
    """A session that a retired model has is not served on."""
    if request.path.endswith("/state"):
        wire.memory["retired"] = True
    elif answer.status == 202 and request.path == "/v1/tasks" and "retired" in wire.memory:
        answer.refuse("MODEL_DEPRECATED")


@answers("ORCH-3074", at="GET /metrics")
def the_gauge_shows_another_state(answer: Answer, request: Request, wire: Wire) -> None:
    """The gauge of a model's state shows the other one."""
    answer.body = answer.body.replace(b'state="Active"', b'state="@"')
    answer.body = answer.body.replace(b'state="Retired"', b'state="Active"').replace(b'state="@"', b'state="Retired"')


@answers("ORCH-3071", at="GET /v1/pools/*/health")
def a_retired_model_stays_loaded(answer: Answer, request: Request, wire: Wire) -> None:
    """The pool of a retired model is not unloaded by its deadline."""
    if answer.status == 200:
        answer.set(live=True)


@answers("ORCH-3073", at=STATE)
def a_retired_model_does_not_come_back(answer: Answer, request: Request, wire: Wire) -> None:
    """A retired model cannot be taken back."""
    if (request.json or {}).get("state") == "Active":
        answer.refuse("CONFLICT")


@answers("ORCH-3069", at=STATE)
def a_state_is_set_at_once(answer: Answer, request: Request, wire: Wire) -> None:
    """A change of state is answered 200."""
    answer.status = 200 if answer.status == 202 else answer.status


@answers("OC-CTRL-2065", "ORCH-3098", at="**/v1/artifacts**")
def an_artifact_has_another_digest(answer: Answer, request: Request, wire: Wire) -> None:
    """The digest of an artifact is not that of its content."""
    if answer.status == 201:
        answer.set(digest=NO_DIGEST)


@answers("OC-CTRL-2065", at=STORE)
def a_text_is_stored_twice(answer: Answer, request: Request, wire: Wire) -> None:
    """The same text gets another artifact each time."""
    if answer.status == 201 and wire.count("stored"):
        answer.set(id=NO_DIGEST)


@answers("OC-CTRL-2066", at=ARTIFACT)
def an_artifact_loses_its_kind(answer: Answer, request: Request, wire: Wire) -> None:
    """An artifact is read as another kind."""
    if answer.status == 200:
        answer.set(kind="diff" if answer.json["kind"] != "diff" else "plan")


@answers("OC-CTRL-2066", at=ARTIFACT)
def an_artifact_forgets_where_it_comes_from(answer: Answer, request: Request, wire: Wire) -> None:
    """An artifact is read without its parent."""
    if answer.status == 200 and "parent" in answer.json:
        answer.set(parent=None)


@answers("ORCH-3098", at=ARTIFACT)
def an_artifact_is_cut(answer: Answer, request: Request, wire: Wire) -> None:
    """The content of an artifact comes back without its end."""
    if answer.status == 200:
        answer.set(content=answer.json["content"][:-1])


@answers("ORCH-3097", at=STORE)
def anything_is_an_artifact(answer: Answer, request: Request, wire: Wire) -> None:
    """An artifact that is not the contract's is stored."""
    if answer.status == 400:
        answer.become(201, {"id": NO_DIGEST, "kind": "other", "digest": NO_DIGEST, "created_ms": 1, "tags": []})


@answers("ORCH-3098", at=ARTIFACT)
def unknown_artifacts_are_found(answer: Answer, request: Request, wire: Wire) -> None:
    """An artifact that nobody stored is found."""
    if answer.status == 404:
        known = {"kind": "other", "digest": NO_DIGEST, "created_ms": 1, "tags": [], "content": ""}
        answer.become(200, {"id": NO_DIGEST, **known})


@answers("ORCH-3098", at=ARTIFACT)
def a_transcript_loses_a_frame(answer: Answer, request: Request, wire: Wire) -> None:
    """The transcript that is kept of a task lacks a frame."""
    if answer.status == 200 and answer.json["kind"] == "trace":
        lines = answer.json["content"].splitlines(keepends=True)
        answer.set(content="".join(lines[:2] + lines[3:]))
