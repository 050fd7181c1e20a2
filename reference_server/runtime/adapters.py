"""The adapter of an engine, by its name and by where it is.

Source: ORCH-3054 … 3057.
"""

import os

from reference_server.config import EngineName, ExternalEngine
from reference_server.engines.base import Engine
from reference_server.engines.llamacpp import LlamaCpp
from reference_server.engines.tgi import Tgi
from reference_server.engines.triton import Triton
from reference_server.engines.vllm import Vllm


def attach(name: EngineName, engine: ExternalEngine) -> Engine:
    """A client of an engine that runs, or is about to."""
    url, model_file = engine.url, engine.model_file
    key = os.environ.get(engine.api_key_env) if engine.api_key_env else None
    match name:
        case "llamacpp":
            return LlamaCpp(url, api_key=key, model_file=model_file)
        case "vllm":
            return Vllm(url, api_key=key, model_name=engine.model_name, slots=engine.slots or 1, model_file=model_file)
        case "tgi":
            return Tgi(url, api_key=key, slots=engine.slots)
        case "triton":
            return Triton(
                url,
                api_key=key,
                metrics_url=engine.metrics_url,
                model_name=engine.model_name or "ensemble",
                slots=engine.slots or 1,
                ctx_max=engine.ctx,
                trtllm_version=engine.trtllm_version,
                model_file=model_file,
            )
