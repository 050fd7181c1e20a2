"""A far end that names lead to, for whatever is fetched."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from reference_server.config import Outbound
from reference_server.policy import connect
from reference_server.policy.tests.far_end import FarEnd, far_end
from reference_server.provision import cache, network

HERE = Outbound(schemes=("http", "https"), private=("*.example", "127.0.0.1", "localhost"))


@pytest.fixture
def far(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[FarEnd]:
    """A server that names under .example lead to, an empty cache, and rules that allow it.

    Beside it there is metadata.test, which has the address that clouds tell secrets at.
    """
    monkeypatch.setenv(cache.CACHE_ENV, str(tmp_path / "cache"))
    really = connect.addresses_of

    def resolve(host: str, port: int) -> list[str]:
        if host == "metadata.test":
            return ["169.254.169.254"]
        return ["127.0.0.1"] if host.endswith(".example") else really(host, port)

    gateway = network.open_gateway(resolve)
    monkeypatch.setattr(network, "_gateway", lambda: gateway)
    network.follow(lambda: HERE)
    with far_end() as made:
        yield made
    network.follow(Outbound)
    gateway.close()
