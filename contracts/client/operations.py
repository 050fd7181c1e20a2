"""Generated from contracts/openapi/data.yaml and contracts/openapi/control.yaml by `python -m tools gen`. Do not edit."""

from typing import Literal

from contracts.client import models
from contracts.client.answers import Answer, Operation
from contracts.client.connections import AsyncConnection, Connection
from contracts.client.streams import AsyncTaskStream, TaskStream

CREATE_TASK = Operation(
    name="create_task", method="POST", path="/v1/tasks", status=202, answer=models.AdmissionResponse
)
GET_TASK = Operation(
    name="get_task", method="GET", path="/v1/tasks/{id}", status=200, answer=models.TaskStatus
)
STREAM_TASK = Operation(
    name="stream_task", method="GET", path="/v1/tasks/{id}/stream", status=200, answer=type(None)
)
CANCEL_TASK = Operation(
    name="cancel_task", method="POST", path="/v1/tasks/{id}/cancel", status=204, answer=type(None)
)
GET_SESSION = Operation(
    name="get_session", method="GET", path="/v1/sessions/{id}", status=200, answer=models.SessionInfo
)
DELETE_SESSION = Operation(
    name="delete_session", method="DELETE", path="/v1/sessions/{id}", status=204, answer=type(None)
)
GET_CAPABILITIES = Operation(
    name="get_capabilities", method="GET", path="/v1/capabilities", status=200, answer=models.Capabilities
)
GET_POOL_HEALTH = Operation(
    name="get_pool_health", method="GET", path="/v1/pools/{id}/health", status=200, answer=models.PoolHealth
)
DRAIN_POOL = Operation(
    name="drain_pool", method="POST", path="/v1/pools/{id}/drain", status=202, answer=type(None)
)
RELOAD_POOL = Operation(
    name="reload_pool", method="POST", path="/v1/pools/{id}/reload", status=202, answer=type(None)
)
CREATE_CATALOG_MODEL = Operation(
    name="create_catalog_model", method="POST", path="/v1/catalog/models", status=201, answer=models.CatalogModel
)
GET_CATALOG_MODEL = Operation(
    name="get_catalog_model", method="GET", path="/v1/catalog/models/{id}", status=200, answer=models.CatalogModel
)
DELETE_CATALOG_MODEL = Operation(
    name="delete_catalog_model", method="DELETE", path="/v1/catalog/models/{id}", status=204, answer=type(None)
)
VERIFY_CATALOG_MODEL = Operation(
    name="verify_catalog_model", method="POST", path="/v1/catalog/models/{id}/verify", status=202, answer=models.VerifyStatus
)
SET_CATALOG_MODEL_STATE = Operation(
    name="set_catalog_model_state", method="POST", path="/v1/catalog/models/{id}/state", status=202, answer=type(None)
)
CREATE_ARTIFACT = Operation(
    name="create_artifact", method="POST", path="/v1/artifacts", status=201, answer=models.Artifact
)
GET_ARTIFACT = Operation(
    name="get_artifact", method="GET", path="/v1/artifacts/{id}", status=200, answer=models.Artifact
)
GET_LIVENESS = Operation(
    name="get_liveness", method="GET", path="/healthz", status=200, answer=models.Liveness
)
GET_METRICS = Operation(
    name="get_metrics", method="GET", path="/metrics", status=200, answer=str
)
GET_STATUS = Operation(
    name="get_status", method="GET", path="/v1/status", status=200, answer=models.Status
)
GET_STATUS_PAGE = Operation(
    name="get_status_page", method="GET", path="/", status=200, answer=str
)


class OrchQueueClient(Connection):
    """OrchQueue 1.0.0, a client that blocks: a method for each operation of both planes."""

    def create_task(self, task: models.Task, *, correlation_id: str | None = None) -> Answer[models.AdmissionResponse]:
        """Admit a task into the queue of the pool that serves it. `POST /v1/tasks`

        The same body again is idempotent and gets the first answer. The same `task_id` with another body is a
        conflict.

        Args:
            task: What a client wants done.
            correlation_id: Echoed on the answer; without it the server makes a UUIDv4.

        Returns:
            Admitted. The task is in the queue, or has been dispatched already.

        Raises:
            ApiError: a subclass by the code of the refusal:
                400: The request is wrong, or its deadline cannot be met. Sending it again will not help.
                401: No token was sent.
                403: The token is wrong.
                408: The body did not arrive in time; the connection closes.
                409: The `task_id` was used with another body, or the model takes no new sessions.
                413: The body is over the server's limit.
                415: The body is not application/json.
                429: Not now. The wait is measured, not guessed.
                500: A defect of the server.
                503: The pool takes no work now.
        """
        return self._call(CREATE_TASK, body=task, headers={"X-Correlation-Id": correlation_id})

    def get_task(self, task_id: str, *, correlation_id: str | None = None) -> Answer[models.TaskStatus]:
        """The state of a task now. `GET /v1/tasks/{id}`

        Args:
            task_id: The `task_id`.
            correlation_id: Echoed on the answer; without it the server makes a UUIDv4.

        Returns:
            Known; ended tasks stay readable until their retention ends.

        Raises:
            ApiError: a subclass by the code of the refusal:
                400: The request is wrong, or its deadline cannot be met. Sending it again will not help.
                401: No token was sent.
                403: The token is wrong.
                404: There is nothing of this id, or no longer.
                500: A defect of the server.
        """
        return self._call(GET_TASK, id=task_id, headers={"X-Correlation-Id": correlation_id})

    def stream_task(self, task_id: str, *, correlation_id: str | None = None, last_event_id: int | None = None) -> TaskStream:
        """The task's frames as server-sent events, from the first or after `Last-Event-ID`. `GET /v1/tasks/{id}/stream`

        Frames: `started`, then `token` with `i` = 0, 1, 2 … without a gap (or one `result`), `metrics` in between,
        and exactly one of `end` and `error` as the last. The `id` of an event is the frame's index, ascending. A late
        reader gets the whole transcript. Once a cancel was answered no `token` leaves the server any more, to no
        reader: ids may then jump. While there is nothing to send, comment lines keep the connection alive. Any number
        of readers up to a bound see the same frames; a reader's leaving ends its subscription alone, unless the task
        asked for `on_disconnect: cancel`.

        Args:
            task_id: The `task_id`.
            correlation_id: Echoed on the answer; without it the server makes a UUIDv4.
            last_event_id: The id of the last frame that was received; the stream goes on after it.

        Returns:
            The stream. It ends after its terminal frame.

        Raises:
            ApiError: a subclass by the code of the refusal:
                400: The request is wrong, or its deadline cannot be met. Sending it again will not help.
                401: No token was sent.
                403: The token is wrong.
                404: There is nothing of this id, or no longer.
                429: Not now. The wait is measured, not guessed.
                500: A defect of the server.
        """
        return self._stream(STREAM_TASK, id=task_id, last_event_id=last_event_id, headers={"X-Correlation-Id": correlation_id})

    def cancel_task(self, task_id: str, *, correlation_id: str | None = None) -> Answer[None]:
        """Cancel a queued or running task; idempotent. `POST /v1/tasks/{id}/cancel`

        No `token` frame leaves the server after this was answered. A task that has ended stays as it is.

        Args:
            task_id: The `task_id`.
            correlation_id: Echoed on the answer; without it the server makes a UUIDv4.

        Returns:
            Canceled, or ended before.

        Raises:
            ApiError: a subclass by the code of the refusal:
                400: The request is wrong, or its deadline cannot be met. Sending it again will not help.
                401: No token was sent.
                403: The token is wrong.
                404: There is nothing of this id, or no longer.
                500: A defect of the server.
        """
        return self._call(CANCEL_TASK, id=task_id, headers={"X-Correlation-Id": correlation_id})

    def get_session(self, session_id: str, *, correlation_id: str | None = None) -> Answer[models.SessionInfo]:
        """What is left of a session. `GET /v1/sessions/{id}`

        Args:
            session_id: The `session_id`.
            correlation_id: Echoed on the answer; without it the server makes a UUIDv4.

        Returns:
            The session lives.

        Raises:
            ApiError: a subclass by the code of the refusal:
                400: The request is wrong, or its deadline cannot be met. Sending it again will not help.
                401: No token was sent.
                403: The token is wrong.
                404: There is nothing of this id, or no longer.
                500: A defect of the server.
        """
        return self._call(GET_SESSION, id=session_id, headers={"X-Correlation-Id": correlation_id})

    def delete_session(self, session_id: str, *, correlation_id: str | None = None) -> Answer[None]:
        """Forget a session and evict its prefix cache. `DELETE /v1/sessions/{id}`

        Args:
            session_id: The `session_id`.
            correlation_id: Echoed on the answer; without it the server makes a UUIDv4.

        Returns:
            Gone.

        Raises:
            ApiError: a subclass by the code of the refusal:
                400: The request is wrong, or its deadline cannot be met. Sending it again will not help.
                401: No token was sent.
                403: The token is wrong.
                404: There is nothing of this id, or no longer.
                500: A defect of the server.
        """
        return self._call(DELETE_SESSION, id=session_id, headers={"X-Correlation-Id": correlation_id})

    def get_capabilities(self, *, correlation_id: str | None = None) -> Answer[models.Capabilities]:
        """Engines, versions, limits and features; `api_version` equals `info.version`. `GET /v1/capabilities`

        Args:
            correlation_id: Echoed on the answer; without it the server makes a UUIDv4.

        Returns:
            What this server can do.

        Raises:
            ApiError: a subclass by the code of the refusal:
                400: The request is wrong, or its deadline cannot be met. Sending it again will not help.
                401: No token was sent.
                403: The token is wrong.
                500: A defect of the server.
        """
        return self._call(GET_CAPABILITIES, headers={"X-Correlation-Id": correlation_id})

    def get_pool_health(self, pool_id: str, *, correlation_id: str | None = None) -> Answer[models.PoolHealth]:
        """Whether a pool takes work, and why not. `GET /v1/pools/{id}/health`

        Args:
            pool_id: The pool's id, as configured.
            correlation_id: Echoed on the answer; without it the server makes a UUIDv4.

        Returns:
            The pool is known.

        Raises:
            ApiError: a subclass by the code of the refusal:
                400: The request is wrong, or its deadline cannot be met. Sending it again will not help.
                401: No token was sent.
                403: The token is wrong.
                404: There is nothing of this id, or no longer.
                500: A defect of the server.
        """
        return self._call(GET_POOL_HEALTH, id=pool_id, headers={"X-Correlation-Id": correlation_id})

    def drain_pool(self, pool_id: str, drain_request: models.DrainRequest, *, correlation_id: str | None = None) -> Answer[None]:
        """Take no new tasks; running work may finish until the deadline, then ends with a retriable error. `POST /v1/pools/{id}/drain`

        Args:
            pool_id: The pool's id, as configured.
            drain_request: What is asked for.
            correlation_id: Echoed on the answer; without it the server makes a UUIDv4.

        Returns:
            Draining.

        Raises:
            ApiError: a subclass by the code of the refusal:
                400: The request is wrong, or its deadline cannot be met. Sending it again will not help.
                401: No token was sent.
                403: The token is wrong.
                404: There is nothing of this id, or no longer.
                408: The body did not arrive in time; the connection closes.
                409: The `task_id` was used with another body, or the model takes no new sessions.
                413: The body is over the server's limit.
                415: The body is not application/json.
                500: A defect of the server.
        """
        return self._call(DRAIN_POOL, id=pool_id, body=drain_request, headers={"X-Correlation-Id": correlation_id})

    def reload_pool(self, pool_id: str, reload_request: models.ReloadRequest, *, correlation_id: str | None = None) -> Answer[None]:
        """Serve another model; Ready on the new one, or rolled back to the old one and Ready again. `POST /v1/pools/{id}/reload`

        Args:
            pool_id: The pool's id, as configured.
            reload_request: What is asked for.
            correlation_id: Echoed on the answer; without it the server makes a UUIDv4.

        Returns:
            Reloading; the health of the pool shows how it went.

        Raises:
            ApiError: a subclass by the code of the refusal:
                400: The request is wrong, or its deadline cannot be met. Sending it again will not help.
                401: No token was sent.
                403: The token is wrong.
                404: There is nothing of this id, or no longer.
                408: The body did not arrive in time; the connection closes.
                409: The `task_id` was used with another body, or the model takes no new sessions.
                413: The body is over the server's limit.
                415: The body is not application/json.
                500: A defect of the server.
                503: The pool takes no work now.
        """
        return self._call(RELOAD_POOL, id=pool_id, body=reload_request, headers={"X-Correlation-Id": correlation_id})

    def create_catalog_model(self, catalog_model: models.CatalogModel, *, correlation_id: str | None = None) -> Answer[models.CatalogModel]:
        """Register a model. `POST /v1/catalog/models`

        Args:
            catalog_model: What is asked for.
            correlation_id: Echoed on the answer; without it the server makes a UUIDv4.

        Returns:
            Registered.

        Raises:
            ApiError: a subclass by the code of the refusal:
                400: The request is wrong, or its deadline cannot be met. Sending it again will not help.
                401: No token was sent.
                403: The token is wrong.
                408: The body did not arrive in time; the connection closes.
                409: The `task_id` was used with another body, or the model takes no new sessions.
                413: The body is over the server's limit.
                415: The body is not application/json.
                500: A defect of the server.
        """
        return self._call(CREATE_CATALOG_MODEL, body=catalog_model, headers={"X-Correlation-Id": correlation_id})

    def get_catalog_model(self, model_id: str, *, correlation_id: str | None = None) -> Answer[models.CatalogModel]:
        """One entry. `GET /v1/catalog/models/{id}`

        Args:
            model_id: The catalog id.
            correlation_id: Echoed on the answer; without it the server makes a UUIDv4.

        Returns:
            Known.

        Raises:
            ApiError: a subclass by the code of the refusal:
                400: The request is wrong, or its deadline cannot be met. Sending it again will not help.
                401: No token was sent.
                403: The token is wrong.
                404: There is nothing of this id, or no longer.
                500: A defect of the server.
        """
        return self._call(GET_CATALOG_MODEL, id=model_id, headers={"X-Correlation-Id": correlation_id})

    def delete_catalog_model(self, model_id: str, *, correlation_id: str | None = None) -> Answer[None]:
        """Forget an entry and delete its cached files. `DELETE /v1/catalog/models/{id}`

        Args:
            model_id: The catalog id.
            correlation_id: Echoed on the answer; without it the server makes a UUIDv4.

        Returns:
            Gone.

        Raises:
            ApiError: a subclass by the code of the refusal:
                400: The request is wrong, or its deadline cannot be met. Sending it again will not help.
                401: No token was sent.
                403: The token is wrong.
                404: There is nothing of this id, or no longer.
                409: The `task_id` was used with another body, or the model takes no new sessions.
                500: A defect of the server.
        """
        return self._call(DELETE_CATALOG_MODEL, id=model_id, headers={"X-Correlation-Id": correlation_id})

    def verify_catalog_model(self, model_id: str, *, correlation_id: str | None = None) -> Answer[models.VerifyStatus]:
        """Check digest, signature and SBOM by the trust policy. `POST /v1/catalog/models/{id}/verify`

        Args:
            model_id: The catalog id.
            correlation_id: Echoed on the answer; without it the server makes a UUIDv4.

        Returns:
            The verdict so far.

        Raises:
            ApiError: a subclass by the code of the refusal:
                400: The request is wrong, or its deadline cannot be met. Sending it again will not help.
                401: No token was sent.
                403: The token is wrong.
                404: There is nothing of this id, or no longer.
                500: A defect of the server.
        """
        return self._call(VERIFY_CATALOG_MODEL, id=model_id, headers={"X-Correlation-Id": correlation_id})

    def set_catalog_model_state(self, model_id: str, catalog_state: models.CatalogState, *, correlation_id: str | None = None) -> Answer[None]:
        """Activate or retire a model; Retired takes no new sessions and its pools unload by the deadline. `POST /v1/catalog/models/{id}/state`

        Args:
            model_id: The catalog id.
            catalog_state: What is asked for.
            correlation_id: Echoed on the answer; without it the server makes a UUIDv4.

        Returns:
            Under way.

        Raises:
            ApiError: a subclass by the code of the refusal:
                400: The request is wrong, or its deadline cannot be met. Sending it again will not help.
                401: No token was sent.
                403: The token is wrong.
                404: There is nothing of this id, or no longer.
                408: The body did not arrive in time; the connection closes.
                413: The body is over the server's limit.
                415: The body is not application/json.
                500: A defect of the server.
        """
        return self._call(SET_CATALOG_MODEL_STATE, id=model_id, body=catalog_state, headers={"X-Correlation-Id": correlation_id})

    def create_artifact(self, artifact_request: models.ArtifactRequest, *, correlation_id: str | None = None) -> Answer[models.Artifact]:
        """Store content under its own digest. `POST /v1/artifacts`

        Args:
            artifact_request: What is asked for.
            correlation_id: Echoed on the answer; without it the server makes a UUIDv4.

        Returns:
            Stored, or there already.

        Raises:
            ApiError: a subclass by the code of the refusal:
                400: The request is wrong, or its deadline cannot be met. Sending it again will not help.
                401: No token was sent.
                403: The token is wrong.
                408: The body did not arrive in time; the connection closes.
                413: The body is over the server's limit.
                415: The body is not application/json.
                500: A defect of the server.
        """
        return self._call(CREATE_ARTIFACT, body=artifact_request, headers={"X-Correlation-Id": correlation_id})

    def get_artifact(self, artifact_id: str, *, correlation_id: str | None = None) -> Answer[models.Artifact]:
        """One artifact with its content. `GET /v1/artifacts/{id}`

        Args:
            artifact_id: The content address.
            correlation_id: Echoed on the answer; without it the server makes a UUIDv4.

        Returns:
            Known.

        Raises:
            ApiError: a subclass by the code of the refusal:
                400: The request is wrong, or its deadline cannot be met. Sending it again will not help.
                401: No token was sent.
                403: The token is wrong.
                404: There is nothing of this id, or no longer.
                500: A defect of the server.
        """
        return self._call(GET_ARTIFACT, id=artifact_id, headers={"X-Correlation-Id": correlation_id})

    def get_liveness(self, *, correlation_id: str | None = None) -> Answer[models.Liveness]:
        """The process answers; says nothing of pools. `GET /healthz`

        Args:
            correlation_id: Echoed on the answer; without it the server makes a UUIDv4.

        Returns:
            Alive.

        Raises:
            ApiError: a subclass by the code of the refusal:
                400: The request is wrong, or its deadline cannot be met. Sending it again will not help.
                401: No token was sent.
                403: The token is wrong.
        """
        return self._call(GET_LIVENESS, headers={"X-Correlation-Id": correlation_id})

    def get_metrics(self, *, accept: Literal["text/plain", "application/openmetrics-text"] = "text/plain", correlation_id: str | None = None) -> Answer[str]:
        """Names and labels are those of `contracts/metrics/series.yaml`. `GET /metrics`

        Args:
            accept: The format that is asked for.
            correlation_id: Echoed on the answer; without it the server makes a UUIDv4.

        Returns:
            All series, as Prometheus text, or as OpenMetrics when `Accept` asks for it.

        Raises:
            ApiError: a subclass by the code of the refusal:
                400: The request is wrong, or its deadline cannot be met. Sending it again will not help.
                401: No token was sent.
                403: The token is wrong.
                500: A defect of the server.
        """
        return self._call(GET_METRICS, headers={"X-Correlation-Id": correlation_id, "Accept": accept})

    def get_status(self, *, correlation_id: str | None = None) -> Answer[models.Status]:
        """Pools, queues and running tasks at one moment; what the page at `/` shows. `GET /v1/status`

        Args:
            correlation_id: Echoed on the answer; without it the server makes a UUIDv4.

        Returns:
            The state of everything that an operator asks for first.

        Raises:
            ApiError: a subclass by the code of the refusal:
                400: The request is wrong, or its deadline cannot be met. Sending it again will not help.
                401: No token was sent.
                403: The token is wrong.
                500: A defect of the server.
        """
        return self._call(GET_STATUS, headers={"X-Correlation-Id": correlation_id})

    def get_status_page(self, *, correlation_id: str | None = None) -> Answer[str]:
        """A page for people that shows `/v1/status` live. It asks for the token itself, and needs none to be read. `GET /`

        Args:
            correlation_id: Echoed on the answer; without it the server makes a UUIDv4.

        Returns:
            The page.

        Raises:
            ApiError: a subclass by the code of the refusal:
                400: The request is wrong, or its deadline cannot be met. Sending it again will not help.
                403: The token is wrong.
                500: A defect of the server.
        """
        return self._call(GET_STATUS_PAGE, headers={"X-Correlation-Id": correlation_id})


class AsyncOrchQueueClient(AsyncConnection):
    """OrchQueue 1.0.0, a client for asyncio and trio: a method for each operation of both planes."""

    async def create_task(self, task: models.Task, *, correlation_id: str | None = None) -> Answer[models.AdmissionResponse]:
        """Admit a task into the queue of the pool that serves it. `POST /v1/tasks`

        The same body again is idempotent and gets the first answer. The same `task_id` with another body is a
        conflict.

        Args:
            task: What a client wants done.
            correlation_id: Echoed on the answer; without it the server makes a UUIDv4.

        Returns:
            Admitted. The task is in the queue, or has been dispatched already.

        Raises:
            ApiError: a subclass by the code of the refusal:
                400: The request is wrong, or its deadline cannot be met. Sending it again will not help.
                401: No token was sent.
                403: The token is wrong.
                408: The body did not arrive in time; the connection closes.
                409: The `task_id` was used with another body, or the model takes no new sessions.
                413: The body is over the server's limit.
                415: The body is not application/json.
                429: Not now. The wait is measured, not guessed.
                500: A defect of the server.
                503: The pool takes no work now.
        """
        return await self._call(CREATE_TASK, body=task, headers={"X-Correlation-Id": correlation_id})

    async def get_task(self, task_id: str, *, correlation_id: str | None = None) -> Answer[models.TaskStatus]:
        """The state of a task now. `GET /v1/tasks/{id}`

        Args:
            task_id: The `task_id`.
            correlation_id: Echoed on the answer; without it the server makes a UUIDv4.

        Returns:
            Known; ended tasks stay readable until their retention ends.

        Raises:
            ApiError: a subclass by the code of the refusal:
                400: The request is wrong, or its deadline cannot be met. Sending it again will not help.
                401: No token was sent.
                403: The token is wrong.
                404: There is nothing of this id, or no longer.
                500: A defect of the server.
        """
        return await self._call(GET_TASK, id=task_id, headers={"X-Correlation-Id": correlation_id})

    def stream_task(self, task_id: str, *, correlation_id: str | None = None, last_event_id: int | None = None) -> AsyncTaskStream:
        """The task's frames as server-sent events, from the first or after `Last-Event-ID`. `GET /v1/tasks/{id}/stream`

        Frames: `started`, then `token` with `i` = 0, 1, 2 … without a gap (or one `result`), `metrics` in between,
        and exactly one of `end` and `error` as the last. The `id` of an event is the frame's index, ascending. A late
        reader gets the whole transcript. Once a cancel was answered no `token` leaves the server any more, to no
        reader: ids may then jump. While there is nothing to send, comment lines keep the connection alive. Any number
        of readers up to a bound see the same frames; a reader's leaving ends its subscription alone, unless the task
        asked for `on_disconnect: cancel`.

        Args:
            task_id: The `task_id`.
            correlation_id: Echoed on the answer; without it the server makes a UUIDv4.
            last_event_id: The id of the last frame that was received; the stream goes on after it.

        Returns:
            The stream. It ends after its terminal frame.

        Raises:
            ApiError: a subclass by the code of the refusal:
                400: The request is wrong, or its deadline cannot be met. Sending it again will not help.
                401: No token was sent.
                403: The token is wrong.
                404: There is nothing of this id, or no longer.
                429: Not now. The wait is measured, not guessed.
                500: A defect of the server.
        """
        return self._stream(STREAM_TASK, id=task_id, last_event_id=last_event_id, headers={"X-Correlation-Id": correlation_id})

    async def cancel_task(self, task_id: str, *, correlation_id: str | None = None) -> Answer[None]:
        """Cancel a queued or running task; idempotent. `POST /v1/tasks/{id}/cancel`

        No `token` frame leaves the server after this was answered. A task that has ended stays as it is.

        Args:
            task_id: The `task_id`.
            correlation_id: Echoed on the answer; without it the server makes a UUIDv4.

        Returns:
            Canceled, or ended before.

        Raises:
            ApiError: a subclass by the code of the refusal:
                400: The request is wrong, or its deadline cannot be met. Sending it again will not help.
                401: No token was sent.
                403: The token is wrong.
                404: There is nothing of this id, or no longer.
                500: A defect of the server.
        """
        return await self._call(CANCEL_TASK, id=task_id, headers={"X-Correlation-Id": correlation_id})

    async def get_session(self, session_id: str, *, correlation_id: str | None = None) -> Answer[models.SessionInfo]:
        """What is left of a session. `GET /v1/sessions/{id}`

        Args:
            session_id: The `session_id`.
            correlation_id: Echoed on the answer; without it the server makes a UUIDv4.

        Returns:
            The session lives.

        Raises:
            ApiError: a subclass by the code of the refusal:
                400: The request is wrong, or its deadline cannot be met. Sending it again will not help.
                401: No token was sent.
                403: The token is wrong.
                404: There is nothing of this id, or no longer.
                500: A defect of the server.
        """
        return await self._call(GET_SESSION, id=session_id, headers={"X-Correlation-Id": correlation_id})

    async def delete_session(self, session_id: str, *, correlation_id: str | None = None) -> Answer[None]:
        """Forget a session and evict its prefix cache. `DELETE /v1/sessions/{id}`

        Args:
            session_id: The `session_id`.
            correlation_id: Echoed on the answer; without it the server makes a UUIDv4.

        Returns:
            Gone.

        Raises:
            ApiError: a subclass by the code of the refusal:
                400: The request is wrong, or its deadline cannot be met. Sending it again will not help.
                401: No token was sent.
                403: The token is wrong.
                404: There is nothing of this id, or no longer.
                500: A defect of the server.
        """
        return await self._call(DELETE_SESSION, id=session_id, headers={"X-Correlation-Id": correlation_id})

    async def get_capabilities(self, *, correlation_id: str | None = None) -> Answer[models.Capabilities]:
        """Engines, versions, limits and features; `api_version` equals `info.version`. `GET /v1/capabilities`

        Args:
            correlation_id: Echoed on the answer; without it the server makes a UUIDv4.

        Returns:
            What this server can do.

        Raises:
            ApiError: a subclass by the code of the refusal:
                400: The request is wrong, or its deadline cannot be met. Sending it again will not help.
                401: No token was sent.
                403: The token is wrong.
                500: A defect of the server.
        """
        return await self._call(GET_CAPABILITIES, headers={"X-Correlation-Id": correlation_id})

    async def get_pool_health(self, pool_id: str, *, correlation_id: str | None = None) -> Answer[models.PoolHealth]:
        """Whether a pool takes work, and why not. `GET /v1/pools/{id}/health`

        Args:
            pool_id: The pool's id, as configured.
            correlation_id: Echoed on the answer; without it the server makes a UUIDv4.

        Returns:
            The pool is known.

        Raises:
            ApiError: a subclass by the code of the refusal:
                400: The request is wrong, or its deadline cannot be met. Sending it again will not help.
                401: No token was sent.
                403: The token is wrong.
                404: There is nothing of this id, or no longer.
                500: A defect of the server.
        """
        return await self._call(GET_POOL_HEALTH, id=pool_id, headers={"X-Correlation-Id": correlation_id})

    async def drain_pool(self, pool_id: str, drain_request: models.DrainRequest, *, correlation_id: str | None = None) -> Answer[None]:
        """Take no new tasks; running work may finish until the deadline, then ends with a retriable error. `POST /v1/pools/{id}/drain`

        Args:
            pool_id: The pool's id, as configured.
            drain_request: What is asked for.
            correlation_id: Echoed on the answer; without it the server makes a UUIDv4.

        Returns:
            Draining.

        Raises:
            ApiError: a subclass by the code of the refusal:
                400: The request is wrong, or its deadline cannot be met. Sending it again will not help.
                401: No token was sent.
                403: The token is wrong.
                404: There is nothing of this id, or no longer.
                408: The body did not arrive in time; the connection closes.
                409: The `task_id` was used with another body, or the model takes no new sessions.
                413: The body is over the server's limit.
                415: The body is not application/json.
                500: A defect of the server.
        """
        return await self._call(DRAIN_POOL, id=pool_id, body=drain_request, headers={"X-Correlation-Id": correlation_id})

    async def reload_pool(self, pool_id: str, reload_request: models.ReloadRequest, *, correlation_id: str | None = None) -> Answer[None]:
        """Serve another model; Ready on the new one, or rolled back to the old one and Ready again. `POST /v1/pools/{id}/reload`

        Args:
            pool_id: The pool's id, as configured.
            reload_request: What is asked for.
            correlation_id: Echoed on the answer; without it the server makes a UUIDv4.

        Returns:
            Reloading; the health of the pool shows how it went.

        Raises:
            ApiError: a subclass by the code of the refusal:
                400: The request is wrong, or its deadline cannot be met. Sending it again will not help.
                401: No token was sent.
                403: The token is wrong.
                404: There is nothing of this id, or no longer.
                408: The body did not arrive in time; the connection closes.
                409: The `task_id` was used with another body, or the model takes no new sessions.
                413: The body is over the server's limit.
                415: The body is not application/json.
                500: A defect of the server.
                503: The pool takes no work now.
        """
        return await self._call(RELOAD_POOL, id=pool_id, body=reload_request, headers={"X-Correlation-Id": correlation_id})

    async def create_catalog_model(self, catalog_model: models.CatalogModel, *, correlation_id: str | None = None) -> Answer[models.CatalogModel]:
        """Register a model. `POST /v1/catalog/models`

        Args:
            catalog_model: What is asked for.
            correlation_id: Echoed on the answer; without it the server makes a UUIDv4.

        Returns:
            Registered.

        Raises:
            ApiError: a subclass by the code of the refusal:
                400: The request is wrong, or its deadline cannot be met. Sending it again will not help.
                401: No token was sent.
                403: The token is wrong.
                408: The body did not arrive in time; the connection closes.
                409: The `task_id` was used with another body, or the model takes no new sessions.
                413: The body is over the server's limit.
                415: The body is not application/json.
                500: A defect of the server.
        """
        return await self._call(CREATE_CATALOG_MODEL, body=catalog_model, headers={"X-Correlation-Id": correlation_id})

    async def get_catalog_model(self, model_id: str, *, correlation_id: str | None = None) -> Answer[models.CatalogModel]:
        """One entry. `GET /v1/catalog/models/{id}`

        Args:
            model_id: The catalog id.
            correlation_id: Echoed on the answer; without it the server makes a UUIDv4.

        Returns:
            Known.

        Raises:
            ApiError: a subclass by the code of the refusal:
                400: The request is wrong, or its deadline cannot be met. Sending it again will not help.
                401: No token was sent.
                403: The token is wrong.
                404: There is nothing of this id, or no longer.
                500: A defect of the server.
        """
        return await self._call(GET_CATALOG_MODEL, id=model_id, headers={"X-Correlation-Id": correlation_id})

    async def delete_catalog_model(self, model_id: str, *, correlation_id: str | None = None) -> Answer[None]:
        """Forget an entry and delete its cached files. `DELETE /v1/catalog/models/{id}`

        Args:
            model_id: The catalog id.
            correlation_id: Echoed on the answer; without it the server makes a UUIDv4.

        Returns:
            Gone.

        Raises:
            ApiError: a subclass by the code of the refusal:
                400: The request is wrong, or its deadline cannot be met. Sending it again will not help.
                401: No token was sent.
                403: The token is wrong.
                404: There is nothing of this id, or no longer.
                409: The `task_id` was used with another body, or the model takes no new sessions.
                500: A defect of the server.
        """
        return await self._call(DELETE_CATALOG_MODEL, id=model_id, headers={"X-Correlation-Id": correlation_id})

    async def verify_catalog_model(self, model_id: str, *, correlation_id: str | None = None) -> Answer[models.VerifyStatus]:
        """Check digest, signature and SBOM by the trust policy. `POST /v1/catalog/models/{id}/verify`

        Args:
            model_id: The catalog id.
            correlation_id: Echoed on the answer; without it the server makes a UUIDv4.

        Returns:
            The verdict so far.

        Raises:
            ApiError: a subclass by the code of the refusal:
                400: The request is wrong, or its deadline cannot be met. Sending it again will not help.
                401: No token was sent.
                403: The token is wrong.
                404: There is nothing of this id, or no longer.
                500: A defect of the server.
        """
        return await self._call(VERIFY_CATALOG_MODEL, id=model_id, headers={"X-Correlation-Id": correlation_id})

    async def set_catalog_model_state(self, model_id: str, catalog_state: models.CatalogState, *, correlation_id: str | None = None) -> Answer[None]:
        """Activate or retire a model; Retired takes no new sessions and its pools unload by the deadline. `POST /v1/catalog/models/{id}/state`

        Args:
            model_id: The catalog id.
            catalog_state: What is asked for.
            correlation_id: Echoed on the answer; without it the server makes a UUIDv4.

        Returns:
            Under way.

        Raises:
            ApiError: a subclass by the code of the refusal:
                400: The request is wrong, or its deadline cannot be met. Sending it again will not help.
                401: No token was sent.
                403: The token is wrong.
                404: There is nothing of this id, or no longer.
                408: The body did not arrive in time; the connection closes.
                413: The body is over the server's limit.
                415: The body is not application/json.
                500: A defect of the server.
        """
        return await self._call(SET_CATALOG_MODEL_STATE, id=model_id, body=catalog_state, headers={"X-Correlation-Id": correlation_id})

    async def create_artifact(self, artifact_request: models.ArtifactRequest, *, correlation_id: str | None = None) -> Answer[models.Artifact]:
        """Store content under its own digest. `POST /v1/artifacts`

        Args:
            artifact_request: What is asked for.
            correlation_id: Echoed on the answer; without it the server makes a UUIDv4.

        Returns:
            Stored, or there already.

        Raises:
            ApiError: a subclass by the code of the refusal:
                400: The request is wrong, or its deadline cannot be met. Sending it again will not help.
                401: No token was sent.
                403: The token is wrong.
                408: The body did not arrive in time; the connection closes.
                413: The body is over the server's limit.
                415: The body is not application/json.
                500: A defect of the server.
        """
        return await self._call(CREATE_ARTIFACT, body=artifact_request, headers={"X-Correlation-Id": correlation_id})

    async def get_artifact(self, artifact_id: str, *, correlation_id: str | None = None) -> Answer[models.Artifact]:
        """One artifact with its content. `GET /v1/artifacts/{id}`

        Args:
            artifact_id: The content address.
            correlation_id: Echoed on the answer; without it the server makes a UUIDv4.

        Returns:
            Known.

        Raises:
            ApiError: a subclass by the code of the refusal:
                400: The request is wrong, or its deadline cannot be met. Sending it again will not help.
                401: No token was sent.
                403: The token is wrong.
                404: There is nothing of this id, or no longer.
                500: A defect of the server.
        """
        return await self._call(GET_ARTIFACT, id=artifact_id, headers={"X-Correlation-Id": correlation_id})

    async def get_liveness(self, *, correlation_id: str | None = None) -> Answer[models.Liveness]:
        """The process answers; says nothing of pools. `GET /healthz`

        Args:
            correlation_id: Echoed on the answer; without it the server makes a UUIDv4.

        Returns:
            Alive.

        Raises:
            ApiError: a subclass by the code of the refusal:
                400: The request is wrong, or its deadline cannot be met. Sending it again will not help.
                401: No token was sent.
                403: The token is wrong.
        """
        return await self._call(GET_LIVENESS, headers={"X-Correlation-Id": correlation_id})

    async def get_metrics(self, *, accept: Literal["text/plain", "application/openmetrics-text"] = "text/plain", correlation_id: str | None = None) -> Answer[str]:
        """Names and labels are those of `contracts/metrics/series.yaml`. `GET /metrics`

        Args:
            accept: The format that is asked for.
            correlation_id: Echoed on the answer; without it the server makes a UUIDv4.

        Returns:
            All series, as Prometheus text, or as OpenMetrics when `Accept` asks for it.

        Raises:
            ApiError: a subclass by the code of the refusal:
                400: The request is wrong, or its deadline cannot be met. Sending it again will not help.
                401: No token was sent.
                403: The token is wrong.
                500: A defect of the server.
        """
        return await self._call(GET_METRICS, headers={"X-Correlation-Id": correlation_id, "Accept": accept})

    async def get_status(self, *, correlation_id: str | None = None) -> Answer[models.Status]:
        """Pools, queues and running tasks at one moment; what the page at `/` shows. `GET /v1/status`

        Args:
            correlation_id: Echoed on the answer; without it the server makes a UUIDv4.

        Returns:
            The state of everything that an operator asks for first.

        Raises:
            ApiError: a subclass by the code of the refusal:
                400: The request is wrong, or its deadline cannot be met. Sending it again will not help.
                401: No token was sent.
                403: The token is wrong.
                500: A defect of the server.
        """
        return await self._call(GET_STATUS, headers={"X-Correlation-Id": correlation_id})

    async def get_status_page(self, *, correlation_id: str | None = None) -> Answer[str]:
        """A page for people that shows `/v1/status` live. It asks for the token itself, and needs none to be read. `GET /`

        Args:
            correlation_id: Echoed on the answer; without it the server makes a UUIDv4.

        Returns:
            The page.

        Raises:
            ApiError: a subclass by the code of the refusal:
                400: The request is wrong, or its deadline cannot be met. Sending it again will not help.
                403: The token is wrong.
                500: A defect of the server.
        """
        return await self._call(GET_STATUS_PAGE, headers={"X-Correlation-Id": correlation_id})
