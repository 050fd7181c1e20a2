"""A version that a pool pins, and the one that its engine reports.

Source: OC-CONFIG-6021.
"""

from reference_server.domain.faults import Fault


def require_pinned(pinned: str | None, reported: str) -> Fault | None:
    """Why an engine may not serve; None where it may.

    What follows the pinned version behind `-`, `+` or a blank is how it was built. # b11434 → b11434-src.b0a2feb6
    """
    if pinned is None or reported == pinned:
        return None
    if reported.startswith(pinned) and reported[len(pinned)] in "-+ ":
        return None
    text = (
        f"the engine is version {reported}, and the pool pins {pinned}: run that version, or change "
        "`provisioning.version`"
    )
    return Fault("mismatch", text)
