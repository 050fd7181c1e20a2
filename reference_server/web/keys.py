"""What handlers find in the application."""

from aiohttp import web

from reference_server.config import Current
from reference_server.runtime.model_files import ModelFiles
from reference_server.runtime.orchestrator import Orchestrator
from reference_server.store.documents import Documents
from reference_server.telemetry.metrics import Metrics

ORCHESTRATOR = web.AppKey("orchestrator", Orchestrator)
CONFIG = web.AppKey("config", Current)
DOCUMENTS: web.AppKey[Documents] = web.AppKey("documents", Documents)
MODEL_FILES = web.AppKey("model_files", ModelFiles)
METRICS = web.AppKey("metrics", Metrics)
