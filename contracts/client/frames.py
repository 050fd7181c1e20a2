"""Generated from contracts/openapi/data.yaml by `python -m tools gen`. Do not edit."""

from typing import Literal, TypeAlias

from contracts.models.data import EndFrame, ErrorFrame, MetricsFrame, ResultFrame, StartedFrame, TokenFrame

Frame: TypeAlias = StartedFrame | TokenFrame | ResultFrame | MetricsFrame | EndFrame | ErrorFrame
EventName: TypeAlias = Literal["started", "token", "result", "metrics", "end", "error"]

FRAMES: dict[str, type[Frame]] = {
    "started": StartedFrame,
    "token": TokenFrame,
    "result": ResultFrame,
    "metrics": MetricsFrame,
    "end": EndFrame,
    "error": ErrorFrame,
}
TERMINAL = ("end", "error")
"""Exactly one of these closes a stream."""
