"""Embeddings and reranks."""

from collections.abc import Iterator

from harness.saboteur.defect import Stream, Wire, answers, frames
from harness.saboteur.message import Answer, Frame, Request


@frames("OC-CTRL-2080")
def an_input_without_vector(frame: Frame, stream: Stream) -> Iterator[Frame]:
    """An embedding has a vector less than there were inputs."""
    found = frame.payload.get("embeddings")
    yield frame.having(embeddings=found[:-1]) if found else frame


@frames("OC-CTRL-2080", "ORCH-3045")
def vectors_in_another_order(frame: Frame, stream: Stream) -> Iterator[Frame]:
    """The vectors of an embedding do not stand in the order of its inputs."""
    found = frame.payload.get("embeddings")
    yield frame.having(embeddings=sorted(found)) if found else frame


@frames("OC-CTRL-2081", "OC-CTRL-2080")
def a_document_without_score(frame: Frame, stream: Stream) -> Iterator[Frame]:
    """A rerank has a score less than there were documents."""
    found = frame.payload.get("scores")
    yield frame.having(scores=found[:-1]) if found else frame


@frames("OC-CTRL-2081", "OC-CTRL-2080")
def scores_from_the_best(frame: Frame, stream: Stream) -> Iterator[Frame]:
    """The scores of a rerank stand in their own order, not in that of the documents."""
    found = frame.payload.get("scores")
    yield frame.having(scores=sorted(found, reverse=True)) if found else frame


@frames("OC-CTRL-2080")
def a_result_and_tokens(frame: Frame, stream: Stream) -> Iterator[Frame]:
    """The end of an embedding counts tokens out."""
    stream.memory["result"] = stream.memory.get("result", False) or frame.event == "result"
    yield frame.having(tokens_out=3) if frame.event == "end" and stream.memory["result"] else frame


@frames("OC-CORE-1036")
def inputs_share_the_context(frame: Frame, stream: Stream) -> Iterator[Frame]:
    """Inputs that fit the context one by one are cut to fit it together."""
    found = frame.payload.get("embeddings")
    yield frame.having(embeddings=found[:1]) if found else frame


@answers("OC-ADAPT-5019", "OC-CTRL-2010", at="POST /v1/tasks")
def a_workload_that_is_not_served(answer: Answer, request: Request, wire: Wire) -> None:
    """A pool that only completes admits embeddings and reranks."""
    if answer.status == 400:
        answer.accept(request)
