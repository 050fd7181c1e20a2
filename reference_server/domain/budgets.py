"""A session's budgets of tokens, decode time and cost: reserved at admission, settled at the end.

What a task may use at most is set aside when it is admitted, so that tasks in parallel cannot overdraw together. At its
end the reservation goes back and what was really used is taken; a task that never ran gives all of it back.

Source: ORCH-3099, ORCH-3100, OC-CORE-1023, OC-CORE-1024, OC-CTRL-2068.
"""

from dataclasses import dataclass, field
from typing import Literal

Kind = Literal["tokens", "time", "cost"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Amounts:
    """An amount of each kind; as a limit, None = unlimited.

    Attributes:
        tokens: prompt and answer together.
        time_ms: of decoding.
        cost: in the unit of the pools' prices.
    """

    tokens: int | None = None
    time_ms: int | None = None
    cost: float | None = None

    def lacking(self, wanted: "Use") -> Kind | None:
        """The first kind of which there is less than `wanted`, or None."""
        if self.tokens is not None and wanted.tokens > self.tokens:
            return "tokens"
        if self.time_ms is not None and wanted.time_ms > self.time_ms:
            return "time"
        if self.cost is not None and wanted.cost > self.cost:
            return "cost"
        return None


UNLIMITED = Amounts()


@dataclass(frozen=True, slots=True, kw_only=True)
class Use:
    """What a task uses, or may use at most."""

    tokens: int = 0
    time_ms: int = 0
    cost: float = 0.0

    def plus(self, other: "Use", sign: int = 1) -> "Use":
        """The sum; the difference with `sign=-1`."""
        return Use(
            tokens=self.tokens + sign * other.tokens,
            time_ms=self.time_ms + sign * other.time_ms,
            cost=self.cost + sign * other.cost,
        )


NOTHING = Use()


@dataclass(frozen=True, slots=True, kw_only=True)
class Prices:
    """Of one pool, for 1,000 tokens each way."""

    in_per_1k: float = 0.0
    out_per_1k: float = 0.0

    def of(self, *, tokens_in: int, tokens_out: int) -> float:
        """The cost of one task."""
        return (tokens_in * self.in_per_1k + tokens_out * self.out_per_1k) / 1000


@dataclass(slots=True)
class Account:
    """One session's budgets.

    Attributes:
        spent: by tasks that have ended.
        reserved: by task id, for those that have not.
    """

    limits: Amounts = UNLIMITED
    spent: Use = NOTHING
    reserved: dict[str, Use] = field(default_factory=dict)

    def remaining(self) -> Amounts:
        """What new tasks may still reserve; never below 0, None where there is no limit."""
        if self.limits == UNLIMITED:
            return UNLIMITED
        used = self.spent
        for reservation in self.reserved.values():
            used = used.plus(reservation)
        limits = self.limits
        return Amounts(
            tokens=None if limits.tokens is None else max(0, limits.tokens - used.tokens),
            time_ms=None if limits.time_ms is None else max(0, limits.time_ms - used.time_ms),
            cost=None if limits.cost is None else max(0.0, limits.cost - used.cost),
        )

    def lacking(self, wanted: Use) -> Kind | None:
        """The first budget that does not cover `wanted`, or None."""
        return self.remaining().lacking(wanted)

    def reserve(self, task_id: str, most: Use) -> None:
        """Set aside the most that a task may use."""
        self.reserved[task_id] = most

    def settle(self, task_id: str, used: Use) -> None:
        """Take what a task really used, and give the rest of its reservation back. Unknown ids change nothing."""
        if self.reserved.pop(task_id, None) is not None:
            self.spent = self.spent.plus(used)
