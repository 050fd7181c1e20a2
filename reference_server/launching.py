"""From the configuration to what brings each replica up, the first time and with another model.

Source: ORCH-3001, ORCH-3031, ORCH-3200.
"""

from functools import partial
from pathlib import Path

import msgspec

from reference_server.config import Config, ExternalEngine, MockEngine, Pool, SupervisedEngine
from reference_server.domain.catalog import Catalog
from reference_server.domain.errors import Failure, RefusedError
from reference_server.engines.base import Engine, EngineMissingError
from reference_server.engines.mock import Mock
from reference_server.runtime import engine_install, model_fetch
from reference_server.runtime.adapters import attach
from reference_server.runtime.engine_install import KeepPlan
from reference_server.runtime.launchers import Attached, Launcher
from reference_server.runtime.supervised import Supervised

EngineConfig = MockEngine | ExternalEngine | SupervisedEngine


class Launching:
    """Makes launchers.

    Args:
        keep: told of each plan by which an engine is brought.
    """

    def __init__(self, config: Config, models: Catalog, *, keep: KeepPlan) -> None:
        self._config, self._models, self._keep = config, models, keep

    def first(self, pool: Pool, engine: EngineConfig) -> Launcher:
        """What brings a replica up as it is configured."""
        match engine:
            case MockEngine():
                return Attached(lambda: _mock(engine, pool.model_ref))
            case ExternalEngine():
                return Attached(lambda: attach(pool.engine, engine))
            case SupervisedEngine():
                return self._supervised(pool, engine, pool.model_ref)

    def again(self, pool_id: str, replica: str, model_ref: str) -> Launcher:
        """What brings a replica up with another model.

        Raises:
            RefusedError: INVALID_PARAMS: the engine is not ours to load.
        """
        pool = next(pool for pool in self._config.pools if pool.id == pool_id)
        engine = pool.replicas[int(replica.rpartition("-")[2])]
        match engine:
            case MockEngine():
                return Attached(lambda: _mock(engine, model_ref))
            case ExternalEngine() if model_ref != pool.model_ref:
                message = f"replica {replica} is attached to an engine that somebody else runs: load the model there"
                raise RefusedError(
                    Failure(
                        code="INVALID_PARAMS", message=message, engine=pool.engine, pool_id=pool_id, retriable=False
                    )
                )
            case SupervisedEngine() if model_ref != pool.model_ref:
                return self._supervised(
                    pool, msgspec.structs.replace(engine, model_file=None), model_ref, is_other=True
                )
            case _:
                return self.first(pool, engine)

    def _supervised(
        self, pool: Pool, engine: SupervisedEngine, model_ref: str, *, is_other: bool = False
    ) -> Supervised:
        return Supervised(
            engine,
            name=pool.engine,
            install=partial(engine_install.bring, pool, self._config.engines, self._keep),
            model_ref=model_ref if is_other else None,
            expected_digest=partial(self._models.digest_of, model_ref),
            bring=partial(self._bring, pool, model_ref),
        )

    async def _bring(self, pool: Pool, model_ref: str) -> str | None:
        """The path of a pool's model, fetched if need be; None when its reference names nothing that is fetched."""
        wanted = model_fetch.wanted_by(self._config, pool, self._models, model_ref)
        return None if wanted is None else await model_fetch.bring(wanted, may_fetch=self._config.models.fetch)


def start_limit_ms(engine: EngineConfig) -> int:
    """How long an engine may take from its start to Ready."""
    return engine.start_timeout_ms if isinstance(engine, SupervisedEngine) else 30_000


def _mock(engine: MockEngine, model_ref: str) -> Engine:
    """A mock of any model; a `file:` must be there, as for a real engine."""
    if model_ref.startswith("file:") and not Path(model_ref.removeprefix("file:")).is_file():
        raise EngineMissingError(f"{model_ref}: no such file")
    return Mock(engine, model_ref)
