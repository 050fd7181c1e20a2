"""What handlers find in the application."""

from aiohttp import web

from reference_server.config import Current
from reference_server.runtime.orchestrator import Orchestrator
from reference_server.telemetry.metrics import Metrics

ORCHESTRATOR = web.AppKey("orchestrator", Orchestrator)
CONFIG = web.AppKey("config", Current)
METRICS = web.AppKey("metrics", Metrics)
