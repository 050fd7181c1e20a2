"""The defects, by what they are about. To import this is to know all of them."""

from harness.saboteur.defect import REGISTRY as DEFECTS
from harness.saboteur.defects import (
    access,
    admission,
    answers,
    canaries,
    cancels,
    catalog,
    logs,
    metrics,
    pools,
    queue,
    readers,
    sessions,
    streams,
    workloads,
)

BY_MODULE = (
    *(streams, readers, cancels, admission, answers, queue, sessions),
    *(access, pools, canaries, catalog, metrics, workloads, logs),
)

__all__ = ["BY_MODULE", "DEFECTS"]
