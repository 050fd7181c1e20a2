"""What a server offers to those who submit tasks, read from its capabilities."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from harness.outcome import NotApplicableError


@dataclass(frozen=True, slots=True)
class Service:
    """The first engine of a server that completes text."""

    engine: str
    model_ref: str
    ctx_max: int
    slots: int
    pool_id: str
    features: Mapping[str, Any]

    @classmethod
    def of(cls, capabilities: Mapping[str, Any], engine: str | None = None) -> "Service":
        """Read it from `GET /v1/capabilities`; pool and model are additive there, and `default` elsewhere.

        Args:
            engine: the one that is wanted; None = the first.

        Raises:
            NotApplicableError: there is none.
        """
        for row in capabilities["engines"]:
            if "completion" in row["supported_workloads"] and engine in {None, row["engine"]}:
                return cls(
                    engine=row["engine"],
                    model_ref=row.get("model_ref", "default"),
                    ctx_max=row["ctx_max"],
                    slots=row["declared_concurrency"],
                    pool_id=row.get("pool_id", "default"),
                    features=row["features"],
                )
        raise NotApplicableError(f"no engine of this server completes text{f' as {engine}' if engine else ''}")
