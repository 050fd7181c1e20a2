"""When a task will start, and when a refused one should come back: the pool's measurements applied to its state now.

What the running tasks still have to decode is looked at once for all predictions until a slot changes hands, a task
ends or the clock ticks: predictions are then at most a tick old, and an admission costs the same with any number of
slots.

Source: ORCH-2007, ORCH-3029, OC-CTRL-2023.
"""

from collections.abc import Mapping

from reference_server.domain.pool import Pool, Running
from reference_server.domain.task import Task, TaskRequest


def start_ms(request: TaskRequest, pool: Pool, tasks: Mapping[str, Task]) -> int:
    """How long a newcomer would wait; 0 when a slot is free for it, and room for its context."""
    if len(pool.queue) == 0 and pool.has_room(request.ctx):
        return 0
    running = _running(pool, tasks)
    return pool.times.wait_ms(
        tasks_ahead=pool.queue.ahead(request.priority),
        tokens_ahead=pool.queue.tokens_ahead(request.priority),
        tokens_running=(running.total,),
        slots=running.slots,
    )


def start_ms_of(task: Task, pool: Pool, tasks: Mapping[str, Task]) -> int:
    """How long a waiting task is still expected to wait; 0 once it has started."""
    position = pool.queue.position(task.id)
    if position is None:
        return 0
    # The tokens before it are taken to be its share of all that wait: exact sums would cost every dispatch O(n).
    share = position / len(pool.queue)
    running = _running(pool, tasks)
    return pool.times.wait_ms(
        tasks_ahead=position,
        tokens_ahead=pool.queue.tokens_ahead("batch") * share,
        tokens_running=(running.total,),
        slots=running.slots,
    )


def retry_after_ms(request: TaskRequest, pool: Pool, tasks: Mapping[str, Task]) -> int:
    """When a place in the lane of a refused request should be free."""
    is_batch, running = request.priority == "batch", _running(pool, tasks)
    return pool.times.retry_after_ms(
        tasks_ahead=pool.queue.depth("interactive") if is_batch else 0,
        tokens_ahead=pool.queue.tokens_ahead("interactive") if is_batch else 0,
        tokens_running=(running.least,),
        slots=running.slots,
    )


def _running(pool: Pool, tasks: Mapping[str, Task]) -> Running:
    if pool.running is None:
        running = [tasks[task_id] for replica in pool.ready_replicas for task_id in replica.leases if task_id in tasks]
        left = [max(1.0, t.request.tokens_expected * pool.times.fill - t.transcript.tokens_total) for t in running]
        pool.running = Running(total=sum(left), least=min(left, default=0.0), slots=pool.slots_total)
    return pool.running
