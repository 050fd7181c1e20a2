"""The catalog: what is known of models, whether they are trusted, and which of them are on their way out.

    registered ── trust policy refuses ──> UNTRUSTED_ARTIFACT, stored nowhere
        │
      Active ⇄ Retired ── shortly before its deadline ──> its pools are drained and unloaded

A pool serves an entry when its `model_ref` is the entry's id or source. Pure: digests of files come in as facts.

Source: ORCH-3037, ORCH-3060 … ORCH-3074, ORCH-3093.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Literal
from urllib.parse import unquote, urlsplit

from reference_server.domain.errors import Failure, RefusedError

ModelState = Literal["Active", "Retired"]
MODEL_STATES: tuple[ModelState, ...] = ("Active", "Retired")
Status = Literal["pending", "verified", "warned", "failed"]
Reason = Literal["none", "not-here", "digest-mismatch", "signature-missing", "sbom-missing"]

MODELS_MAX = 1_024  # as many as the gauge may have labels
UNLOAD_MARGIN_MS = 1_000  # taken off a deadline, so that the pool is unloaded by then; at most a quarter of it


@dataclass(frozen=True, slots=True, kw_only=True)
class TrustPolicy:
    """What an entry has to show.

    Attributes:
        allowed_registries: hosts, or beginnings of references up to a `/` or `:`; binding under `strict`.
        require_signature, require_sbom: an entry without is not even registered.
    """

    mode: Literal["strict", "permissive"] = "permissive"
    allowed_registries: tuple[str, ...] = ()
    require_signature: bool = False
    require_sbom: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One model as it was registered.

    Attributes:
        digest: `sha256:…` of its weights.
        is_signed: it has a signature that was verified.
        body: the JSON it was registered with.
    """

    id: str
    digest: str
    body: bytes
    source_url: str | None = None
    is_signed: bool = False
    has_sbom: bool = False
    policy: TrustPolicy = field(default_factory=TrustPolicy)

    def serves_as(self, model_ref: str) -> bool:
        """Whether a pool with this `model_ref` serves this model."""
        return model_ref in {self.id, self.source_url}


@dataclass(slots=True)
class Model:
    """An entry and its state.

    Attributes:
        unload_at_ms: when the pools of a Retired model are drained; None while it is Active.
    """

    entry: Entry
    state: ModelState = "Active"
    unload_at_ms: int | None = None

    def is_over(self, now_ms: int) -> bool:
        """Retired, and its time is up."""
        return self.unload_at_ms is not None and now_ms >= self.unload_at_ms

    def require_taking(self, *, is_known_session: bool, now_ms: int) -> None:
        """Check that the model takes a task of a session.

        Raises:
            RefusedError: MODEL_DEPRECATED: it is Retired, and the session is new or its time is up.
        """
        if self.state == "Active" or (is_known_session and not self.is_over(now_ms)):
            return
        message = f"model {self.entry.id} is Retired and takes no new sessions"
        raise RefusedError(Failure(code="MODEL_DEPRECATED", message=message, retriable=False))


@dataclass(frozen=True, slots=True)
class Verdict:
    """What a verification found: the gravest reason, and all in words."""

    status: Status
    reason: Reason
    warnings: tuple[str, ...]


class Catalog:
    """All entries, by id."""

    def __init__(self) -> None:
        self._models: dict[str, Model] = {}

    def __iter__(self) -> Iterator[Model]:
        return iter(self._models.values())

    def get(self, model_id: str) -> Model | None:
        """The model of this id."""
        return self._models.get(model_id)

    def serving(self, model_ref: str) -> Model | None:
        """The model that a pool with this `model_ref` serves."""
        return next((m for m in self._models.values() if m.entry.serves_as(model_ref)), None)

    def add(self, entry: Entry) -> bool:
        """Register a model. False when it was registered just so before.

        Raises:
            RefusedError: UNTRUSTED_ARTIFACT, or CONFLICT: the id is taken, or the catalog is full.
        """
        if (wrong := untrusted(entry)) is not None:
            raise RefusedError(Failure(code="UNTRUSTED_ARTIFACT", message=wrong, retriable=False))
        known = self._models.get(entry.id)
        if known is not None:
            if known.entry == entry:
                return False
            message = "the id is registered with another content: delete it first, or choose another id"
            raise RefusedError(Failure(code="CONFLICT", message=message, retriable=False))
        if len(self._models) >= MODELS_MAX:
            message = f"the catalog is full with {MODELS_MAX} models: delete one first"
            raise RefusedError(Failure(code="CONFLICT", message=message, retriable=False))
        self._models[entry.id] = Model(entry)
        return True

    def restore(self, model: Model) -> None:
        """Take back a model after a restart."""
        self._models[model.entry.id] = model

    def remove(self, model_id: str) -> None:
        """Forget a model."""
        del self._models[model_id]

    def digest_of(self, model_ref: str) -> str | None:
        """The digest that weights of this `model_ref` have to have; None where no entry says."""
        model = self.serving(model_ref)
        return model.entry.digest if model is not None else None

    def mismatch(self, model_ref: str, digest: str | None) -> str | None:
        """How weights differ from what the catalog says of them; None where they fit or either is unknown."""
        model = self.serving(model_ref)
        if model is None or digest is None or model.entry.digest == digest:
            return None
        return f"the weights have {digest}, and the catalog has {model.entry.digest} for {model.entry.id}"


def unload_at_ms(deadline_ms: int, now_ms: int) -> int:
    """When to drain, so that a pool is unloaded at the deadline."""
    return now_ms + deadline_ms - min(UNLOAD_MARGIN_MS, deadline_ms // 4)


def untrusted(entry: Entry) -> str | None:
    """Why the entry's own trust policy refuses it, or None (ORCH-3063, ORCH-3066)."""
    policy = entry.policy
    if policy.require_signature and not entry.is_signed:
        return "the trust policy requires a verified signature, and the entry has none"
    if policy.require_sbom and not entry.has_sbom:
        return "the trust policy requires an SBOM, and the entry has none"
    if policy.mode == "strict" and (entry.source_url is None or not _is_allowed(entry.source_url, policy)):
        return "under a strict trust policy the source_url must lie in one of the allowed_registries"
    return None


def _is_allowed(source: str, policy: TrustPolicy) -> bool:
    if ".." in unquote(source).replace("\\", "/").split("/"):
        return False
    return any(_lies_in(source, allowed) for allowed in policy.allowed_registries)


def _lies_in(source: str, allowed: str) -> bool:
    """`https://host/a` lies in `host`, `https://host` and `https://host/`; never in `hos` or `https://hos`."""
    try:
        host = urlsplit(source).netloc.lower()
    except ValueError:
        return False
    if host and host == allowed.lower():
        return True
    rest = source.removeprefix(allowed)
    if ":" not in allowed or rest == source:
        return False
    return not rest or allowed.endswith(("/", ":")) or rest.startswith("/")


def verify(entry: Entry, found_digests: Sequence[str]) -> Verdict:
    """Judge an entry by the digests that its weights were found to have; none = its weights are not on this host.

    Source: ORCH-3062, ORCH-3065.
    """
    is_strict = entry.policy.mode == "strict"
    found: list[tuple[Status, Reason, str]] = [
        ("failed", "digest-mismatch", f"the weights have {digest}, and the entry says {entry.digest}")
        for digest in found_digests
        if digest != entry.digest
    ]
    if not entry.is_signed:
        found.append(("failed" if is_strict else "warned", "signature-missing", "no verified signature"))
    if not entry.has_sbom:
        found.append(("failed" if is_strict else "warned", "sbom-missing", "no SBOM"))
    if not found_digests:
        found.append(("pending", "not-here", "the weights are not on this host yet"))
    for status in ("failed", "pending", "warned"):
        for graveness, reason, _ in found:
            if graveness == status:
                return Verdict(graveness, reason, tuple(text for _, _, text in found))
    return Verdict("verified", "none", ())
