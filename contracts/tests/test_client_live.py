"""The OrchQueue client against the live reference server: what no mocked answer can show."""

import uuid
from collections.abc import Iterator

import anyio
import pytest

from contracts.client import AsyncOrchQueueClient, OrchQueueClient, errors, models
from harness.target import REFERENCE_SERVER, Servers, Target

TOKENS = 12


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Target]:
    servers = Servers(REFERENCE_SERVER, folder=tmp_path_factory.mktemp("servers"))
    yield servers.start({})
    servers.stop()


def task(**changes: str) -> models.Task:
    return models.Task(
        task_id=changes.get("task_id", str(uuid.uuid4())),
        session_id=str(uuid.uuid4()),
        workload="completion",
        model_ref=changes.get("model_ref", "default"),
        engine="llamacpp",
        ctx=512,
        priority="interactive",
        max_tokens=TOKENS,
        deadline_ms=30_000,
        prompt="A queue, please.",
    )


@pytest.mark.req("ORCH-3101", "ORCH-2001", "ORCH-2002")
def test_a_task_is_admitted_read_to_its_end_and_read_again_from_the_middle(server: Target) -> None:
    wanted = task()
    with OrchQueueClient(server.url, token=server.token) as client:
        admitted = client.create_task(wanted, correlation_id="checkout-17")
        with client.stream_task(wanted.task_id) as stream:
            events = list(stream)
        again = list(client.stream_task(wanted.task_id, last_event_id=events[4].id))
        nothing = list(client.stream_task(wanted.task_id, last_event_id=events[-1].id))
        status = client.get_task(wanted.task_id).body

    assert (wanted.task_id, "checkout-17") == (admitted.body.task_id, admitted.correlation_id)
    tokens = [event.frame for event in events if isinstance(event.frame, models.TokenFrame)]
    assert list(range(TOKENS)) == [frame.i for frame in tokens]
    assert (events[5:], []) == (again, nothing)
    assert ("ended", TOKENS) == (status.state, status.tokens_out)


@pytest.mark.req("ORCH-3101")
def test_the_async_form_reads_the_same_stream_and_may_leave_it(server: Target) -> None:
    async def ask() -> tuple[list[int], int]:
        wanted = task()
        async with AsyncOrchQueueClient(server.url, token=server.token) as client:
            await client.create_task(wanted)
            async with client.stream_task(wanted.task_id) as stream:
                first = await anext(stream)
            rest = [event.id async for event in client.stream_task(wanted.task_id, last_event_id=first.id)]
            return rest, first.id

    rest, first = anyio.run(ask)

    assert 0 == first
    assert list(range(1, len(rest) + 1)) == rest


@pytest.mark.req("ORCH-3101", "ORCH-2006")
def test_refusals_are_errors_of_their_own_type(server: Target) -> None:
    known = task()
    with OrchQueueClient(server.url, token=server.token) as client:
        client.create_task(known)
        with pytest.raises(errors.NotFoundError):
            client.get_task(str(uuid.uuid4()))
        with pytest.raises(errors.ConflictError):
            client.create_task(task(task_id=known.task_id))
        with pytest.raises(errors.InvalidParamsError) as refused:
            client.create_task(task(model_ref="no-such-model"))
    with OrchQueueClient(server.url, token="wrong") as client, pytest.raises(errors.ForbiddenError):
        client.get_capabilities()

    assert (400, False) == (refused.value.status, refused.value.retriable)
    assert refused.value.correlation_id
