"""What a starting pool has to show beside its engine: it stands in the metrics, and the log can be written.

Source: ORCH-3049.
"""

import asyncio

import structlog

from reference_server.telemetry.log import LINES
from reference_server.telemetry.metrics import Metrics

LOG_LIMIT_S = 5.0


async def why_not_emitted(metrics: Metrics, pool_id: str, replica_id: str) -> str | None:
    """Emit both once. Returns what did not come, in words; None = both did."""
    text, _ = metrics.expose("")
    if f'pool_id="{pool_id}"'.encode() not in text:
        return f"the metrics have no series of pool {pool_id}"
    structlog.get_logger().info("self-test", pool_id=pool_id, replica_id=replica_id)
    if not await asyncio.to_thread(LINES.flush, LOG_LIMIT_S):
        return f"the log took nothing for {LOG_LIMIT_S:.0f} s"
    return LINES.last_error and f"the log cannot be written: {LINES.last_error}"
