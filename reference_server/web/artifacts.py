"""Artifacts: texts under the digest of their content, and the transcript of a task as one of them.

The same content has the same id; stored again, it keeps what it was first stored with.

Source: ORCH-3097, ORCH-3098, OC-CTRL-2065, OC-CTRL-2066.
"""

import hashlib
import json
import time
from typing import Literal

import msgspec
from aiohttp import web

from contracts.models.control import Artifact, ArtifactRequest
from reference_server.domain.effects import Notice, TaskFinished
from reference_server.domain.task import Task
from reference_server.store.documents import Documents
from reference_server.web import body
from reference_server.web.errors import EdgeError
from reference_server.web.keys import CONFIG, DOCUMENTS


async def create(request: web.Request) -> web.Response:
    """Store a text."""
    wanted = await body.read(request, ArtifactRequest)
    documents = request.app[DOCUMENTS]
    digest = address(wanted.content)
    raw = await documents.get("artifact", digest)
    if raw is None:
        raw = msgspec.json.encode(
            Artifact(
                id=digest,
                kind=wanted.kind,
                digest=digest,
                created_ms=time.time_ns() // 1_000_000,
                tags=wanted.tags or (),
                content=wanted.content,
                parent=wanted.parent,
                metadata=wanted.metadata,
            )
        )
        documents.put("artifact", digest, raw, keep=request.app[CONFIG].config.artifacts.artifacts_max)
    if not await documents.durable():
        raise EdgeError("INTERNAL", "the state cannot be written")
    return web.Response(status=201, body=raw, content_type="application/json")


async def read(request: web.Request) -> web.Response:
    """One artifact with its content."""
    raw = await request.app[DOCUMENTS].get("artifact", request.match_info["id"])
    if raw is None:
        raise EdgeError("NOT_FOUND", "no such artifact")
    return web.Response(body=raw, content_type="application/json")


def address(content: str) -> str:
    """`sha256:…` of the content's UTF-8."""
    return "sha256:" + hashlib.sha256(content.encode()).hexdigest()


def put(
    documents: Documents, kind: Literal["plan", "trace"], content: str, *, tags: tuple[str, ...], keep: int
) -> None:
    """Store a text of the server's own."""
    digest = address(content)
    artifact = Artifact(
        id=digest, kind=kind, digest=digest, created_ms=time.time_ns() // 1_000_000, tags=tags, content=content
    )
    documents.put("artifact", digest, msgspec.json.encode(artifact), keep=keep)


def trace_of(task: Task) -> str:
    """The transcript of an ended task: one JSON object a line, first the task and then its frames."""
    lines: list[dict[str, object]] = [{"task_id": task.id, "state": task.state, "pool_id": task.pool_id}]
    for number, frame in enumerate(task.transcript.since(0, len(task.transcript))):
        if isinstance(frame, str):
            lines.append({"event": "token", "data": {"t": frame, "i": task.transcript.tokens_before(number)}})
        else:
            lines.append({"event": frame.event, "data": frame.data})
    return "".join(json.dumps(line, ensure_ascii=False) + "\n" for line in lines)


class Tracer:
    """Stores the transcript of each task that ends, as an artifact of kind `trace` tagged with the task's id."""

    def __init__(self, documents: Documents, *, keep: int) -> None:
        self._documents = documents
        self._keep = keep

    def observe(self, notice: Notice, at_ms: int) -> None:
        """Store one transcript."""
        del at_ms
        if not isinstance(notice, TaskFinished):
            return
        put(self._documents, "trace", trace_of(notice.task), tags=(notice.task.id,), keep=self._keep)
