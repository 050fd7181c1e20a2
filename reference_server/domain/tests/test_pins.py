"""A pinned version: what follows it may be how it was built, and nothing else."""

import pytest

from reference_server.domain.faults import Fault
from reference_server.domain.pins import require_pinned


@pytest.mark.req("OC-CONFIG-6021")
@pytest.mark.parametrize(
    ("pinned", "reported"),
    [
        (None, "anything"),
        ("b1", "b1"),
        ("b1", "b1-src.b0a2"),
        ("2.51", "2.51.0"),
        ("2.51", "2.51.0+cu12"),
        ("1", "1 x"),
    ],
)
def test_what_keeps_to_the_pin_may_serve(pinned: str | None, reported: str) -> None:
    assert require_pinned(pinned, reported) is None


@pytest.mark.req("OC-CONFIG-6021")
@pytest.mark.parametrize(("pinned", "reported"), [("b1", "b12"), ("2.5", "2.51"), ("2.5", "205"), ("2.5", "x2.5")])
def test_another_version_may_not_and_is_told_both(pinned: str, reported: str) -> None:
    text = (
        f"the engine is version {reported}, and the pool pins {pinned}: run that version, or change "
        "`provisioning.version`"
    )

    assert Fault("mismatch", text) == require_pinned(pinned, reported)
