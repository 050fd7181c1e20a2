"""The consumers of engines, by provider."""

from reference_server.engines.tests.pacts import llamacpp, tgi, triton, vllm
from reference_server.engines.tests.pacts.consumer import Consumer

CONSUMERS: tuple[Consumer, ...] = (llamacpp.CONSUMER, vllm.CONSUMER, tgi.CONSUMER, triton.CONSUMER)
