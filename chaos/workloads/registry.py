"""All workloads, by name."""

from collections.abc import Mapping

from chaos.workloads import budgets, lanes, mixed, overflow, steady
from chaos.workloads.workload import Workload

WORKLOADS: Mapping[str, Workload] = {
    module.WORKLOAD.name: module.WORKLOAD for module in (mixed, lanes, overflow, budgets, steady)
}
