"""A client of OrchQueue v1, blocking and async, generated from the contract.

    from contracts.client import OrchQueueClient, models

    with OrchQueueClient("http://127.0.0.1:8080") as client:
        client.create_task(models.Task(task_id=..., session_id=..., ...))
        with client.stream_task(task_id) as stream:
            for event in stream:
                match event.frame:
                    case models.TokenFrame(t=text):
                        print(text, end="")

A refusal is an `ApiError`, one subclass for each code, with `retriable` and `retry_after_ms`; nothing but a cut stream
is repeated by itself. It needs httpx, httpx-sse and msgspec, and neither the server nor the harness.

Source: ORCH-3025, ORCH-3101.
"""

from contracts.client import error_types as errors
from contracts.client import models
from contracts.client.answers import Answer, failure
from contracts.client.failures import ApiError, OrchQueueError, StreamCutError, UnexpectedAnswerError
from contracts.client.frames import Frame
from contracts.client.operations import AsyncOrchQueueClient, OrchQueueClient
from contracts.client.resume import StreamEvent
from contracts.client.streams import AsyncTaskStream, TaskStream

__all__ = [
    "Answer",
    "ApiError",
    "AsyncOrchQueueClient",
    "AsyncTaskStream",
    "Frame",
    "OrchQueueClient",
    "OrchQueueError",
    "StreamCutError",
    "StreamEvent",
    "TaskStream",
    "UnexpectedAnswerError",
    "errors",
    "failure",
    "models",
]
