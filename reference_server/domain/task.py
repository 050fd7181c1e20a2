"""One task, and the only ways its state may change.

Rules:
1. States change through `Task.advance` alone, by the table below. Anything else raises and changes nothing.
2. `ended`, `failed` and `canceled` are terminal: the first of finish, fail and cancel wins, the others come too late.
3. A task that its engine failed before its first token may return to the queue, for another replica to try it.
4. Whoever wants a transition asks for it and looks at the answer; nobody branches on a state read earlier.

Source: ORCH-3017, ORCH-3024, ORCH-3026, OC-CORE-1005, OC-CTRL-2012.
"""

import hashlib
from dataclasses import dataclass, field
from typing import Literal

from reference_server.domain.errors import Failure, IllegalTransitionError
from reference_server.domain.transcript import Transcript

Priority = Literal["interactive", "batch"]
State = Literal["queued", "running", "ended", "failed", "canceled"]
Event = Literal["dispatch", "return", "finish", "fail", "cancel"]

TRANSITIONS: dict[tuple[State, Event], State] = {
    ("queued", "dispatch"): "running",
    ("queued", "fail"): "failed",
    ("queued", "cancel"): "canceled",
    ("running", "return"): "queued",
    ("running", "finish"): "ended",
    ("running", "fail"): "failed",
    ("running", "cancel"): "canceled",
}
TERMINAL_STATES = frozenset[State]({"ended", "failed", "canceled"})


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskRequest:
    """What a client asked for, validated against the contract.

    Attributes:
        inputs: one text for a completion; the texts of an embedding; a rerank's query, then its documents.
        seed: 0 … 2**64-1.
        fingerprint: digest of the whole body; the same id with another fingerprint is a conflict.
        cancel_on_disconnect: the last reader's leaving cancels the task.
        label: for a canary that takes tasks with it.
    """

    task_id: str
    session_id: str
    workload: str
    model_ref: str
    engine: str
    ctx: int
    priority: Priority
    max_tokens: int
    deadline_ms: int
    seed: int
    strict: bool
    inputs: tuple[str, ...]
    fingerprint: bytes
    sampler_profile_version: str | None = None
    expected_tokens: int | None = None
    reuse_cache: bool = False
    cancel_on_disconnect: bool = False
    correlation_id: str = ""
    label: str | None = None

    @property
    def tokens_expected(self) -> int:
        """The caller's own estimate of its answer, else the most it may be; 1 of work for what gives no tokens."""
        most = self.tokens_out_most
        return min(self.expected_tokens or most, most) or 1

    @property
    def tokens_out_most(self) -> int:
        """What a completion may decode; embedding and rerank give no tokens."""
        return self.max_tokens if self.workload == "completion" else 0


def seed_of(task_id: str) -> int:
    """The seed of a task that names none: stable over processes and versions, 0 … 2**63-1."""
    digest = hashlib.blake2b(task_id.encode(), digest_size=8, person=b"orchq-seed-v1").digest()
    return int.from_bytes(digest) >> 1


@dataclass(slots=True, kw_only=True)
class Task:
    """A task from admission to expiry. Times are monotonic milliseconds.

    Attributes:
        queue_position, predicted_start_ms: as answered at admission.
        prompt_tokens_most: as admission counted them; what the engine counts is in `tokens_in` after its end.
        placement_hint: the replica where a policy plugin would rather have it.
        failed_over: another replica than the session's own decodes it, without its KV cache.
        tried: the replicas that failed it before its first token, and with what.
    """

    request: TaskRequest
    pool_id: str
    admitted_ms: int
    queue_position: int = 0
    predicted_start_ms: int = 0
    backoff_ms: int = 0
    state: State = "queued"
    transcript: Transcript = field(default_factory=Transcript)
    replica_id: str | None = None
    kv_warm: bool = False
    started_ms: int | None = None
    first_token_ms: int | None = None
    ended_ms: int | None = None
    tokens_in: int = 0
    prompt_tokens_most: int = 0
    failed_over: bool = False
    placement_hint: str | None = None
    failure: Failure | None = None
    tried: dict[str, Failure] = field(default_factory=dict)

    @property
    def id(self) -> str:
        return self.request.task_id

    @property
    def is_terminal(self) -> bool:
        return self.state in TERMINAL_STATES

    @property
    def deadline_at_ms(self) -> int:
        return self.admitted_ms + self.request.deadline_ms

    def advance(self, event: Event) -> None:
        """Take one transition.

        Raises:
            IllegalTransitionError: the table has no such row; the state is as it was.
        """
        following = TRANSITIONS.get((self.state, event))
        if following is None:
            raise IllegalTransitionError(f"task {self.id}: {event} in state {self.state}")
        self.state = following
