"""Binds every feature of this folder. Steps are plugins, so that features share them without importing each other."""

from pathlib import Path

from pytest_bdd import scenarios

pytest_plugins = (
    "features.steps.world",
    "features.steps.servers",
    "features.steps.tasks",
    "features.steps.streams",
    "features.steps.cancels",
    "features.steps.queues",
    "features.steps.requests",
    "features.steps.sessions",
    "features.steps.metrics",
    "features.steps.discovery",
    "features.steps.disconnects",
    "features.steps.drains",
    "features.steps.artifacts",
    "features.steps.catalog",
    "features.steps.model_fetch",
    "features.steps.reloads",
    "features.steps.budgets",
    "features.steps.determinism",
    "features.steps.status",
    "features.steps.logs",
    "features.steps.abilities",
    "features.steps.strangers",
    "features.steps.times",
    "features.steps.workloads",
    "features.steps.replicas",
    "features.steps.service_levels",
    "features.steps.prefix_caches",
    "features.steps.canaries",
)

scenarios(str(Path(__file__).parent))
