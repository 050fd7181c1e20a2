"""Short-lived sessions: so many turns, and gone after a while without one.

A session begins with its first admitted task, and each admitted task is a turn that starts its time to live anew.
At the turn limit the next task is refused; deleting the session, or letting it expire, begins a new one.

Source: ORCH-2004, ORCH-2005, ORCH-3009, ORCH-3021.
"""

from collections import OrderedDict
from dataclasses import dataclass, field

from reference_server.domain.budgets import UNLIMITED, Account, Amounts, Use
from reference_server.domain.errors import Failure, RefusedError


@dataclass(slots=True)
class Session:
    """What is known of one session.

    Attributes:
        replica_id: the replica that served its last turn, for affinity.
        kv_warm: whether that turn found a warm prefix.
        pool_ids: the pools that had a task of it.
        account: its budgets, and what its tasks have used of them.
    """

    expires_ms: int
    turns: int = 0
    replica_id: str | None = None
    kv_warm: bool = False
    account: Account = field(default_factory=Account)
    pool_ids: set[str] = field(default_factory=set)


class Sessions:
    """All sessions, least recently used first. Every operation is O(1), expiry amortised."""

    def __init__(self, *, ttl_ms: int, turns_max: int, sessions_max: int, budget: Amounts | None = None) -> None:
        self._ttl_ms = ttl_ms
        self._turns_max = turns_max
        self._sessions_max = sessions_max
        self._budget = budget or UNLIMITED
        self._by_id: OrderedDict[str, Session] = OrderedDict()

    def limit(self, *, ttl_ms: int, turns_max: int, sessions_max: int, budget: Amounts) -> None:
        """Change the limits; sessions that live keep the budgets they began with."""
        for session in self._by_id.values():
            session.expires_ms += ttl_ms - self._ttl_ms
        self._ttl_ms, self._turns_max, self._sessions_max, self._budget = ttl_ms, turns_max, sessions_max, budget

    def __len__(self) -> int:
        return len(self._by_id)

    def get(self, session_id: str, now_ms: int) -> Session | None:
        """The living session of this id."""
        self.expire(now_ms)
        return self._by_id.get(session_id)

    def require_turn(self, session_id: str, now_ms: int) -> None:
        """Check that one more turn is allowed, and change nothing.

        Raises:
            RefusedError: `ADMISSION_REJECT`, policy `session-turns`.
        """
        session = self.get(session_id, now_ms)
        if session is not None and session.turns >= self._turns_max:
            raise RefusedError(
                Failure(
                    code="ADMISSION_REJECT",
                    message=f"session has had its {self._turns_max} turns; delete it or use another session_id",
                    retriable=True,
                    retry_after_ms=max(1, session.expires_ms - now_ms),
                    policy_label="session-turns",
                )
            )

    def require_budget(self, session_id: str, most: Use, now_ms: int) -> None:
        """Check that the session can afford the most that a task may use, and change nothing.

        Raises:
            RefusedError: `ADMISSION_REJECT`, policy `budget-tokens`, `budget-time` or `budget-cost`.

        Source: ORCH-3099, OC-CORE-1023.
        """
        session = self.get(session_id, now_ms)
        left = session.account.remaining() if session else self._budget
        kind = left.lacking(most)
        if kind is None:
            return
        raise RefusedError(
            Failure(
                code="ADMISSION_REJECT",
                message=f"the task may use more than the session's {kind} budget has left",
                retriable=True,
                retry_after_ms=max(1, session.expires_ms - now_ms) if session else self._ttl_ms,
                policy_label=f"budget-{kind}",
            )
        )

    def remaining(self, session_id: str) -> Amounts:
        """What the session's tasks may still reserve; all None where it has no budgets, or is gone."""
        session = self._by_id.get(session_id)
        return session.account.remaining() if session else UNLIMITED

    def reserve(self, session_id: str, task_id: str, most: Use) -> None:
        """Set aside what an admitted task may use."""
        self._by_id[session_id].account.reserve(task_id, most)

    def settle(self, session_id: str, task_id: str, used: Use) -> None:
        """A task has ended: take what it used, and give the rest back. A session that is gone has nothing to settle."""
        if (session := self._by_id.get(session_id)) is not None:
            session.account.settle(task_id, used)

    def take_turn(self, session_id: str, now_ms: int, *, pool_id: str) -> None:
        """Count one turn, and start the time to live anew. Above `sessions_max` the longest unused session goes."""
        session = self._by_id.pop(session_id, None) or Session(expires_ms=0, account=Account(self._budget))
        session.turns += 1
        session.pool_ids.add(pool_id)
        session.expires_ms = now_ms + self._ttl_ms
        self._by_id[session_id] = session
        if len(self._by_id) > self._sessions_max:
            self._by_id.popitem(last=False)

    def served(self, session_id: str, *, replica_id: str, kv_warm: bool) -> None:
        """Remember who served the session's last turn."""
        if (session := self._by_id.get(session_id)) is not None:
            session.replica_id = replica_id
            session.kv_warm = kv_warm

    def delete(self, session_id: str, now_ms: int) -> bool:
        """Forget a session; False when there is none."""
        self.expire(now_ms)
        return self._by_id.pop(session_id, None) is not None

    def expire(self, now_ms: int) -> None:
        """Forget every session whose time is over."""
        while self._by_id:
            oldest = next(iter(self._by_id))
            if self._by_id[oldest].expires_ms > now_ms:
                return
            del self._by_id[oldest]
