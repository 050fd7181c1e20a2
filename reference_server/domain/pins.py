"""A version that a pool pins, and the one that its engine reports.

Source: OC-CONFIG-6021.
"""

import re

from reference_server.domain.faults import Fault

BUILD = r"(\.0)*([-+ ].*)?"


def require_pinned(pinned: str | None, reported: str) -> Fault | None:
    """Why an engine may not serve; None where it may.

    What follows the pinned version behind `-`, `+` or a blank is how it was built, and zeros at the end say nothing.
    # b11434 → b11434-src.b0a2feb6, 2.51 → 2.51.0
    """
    if pinned is None or re.fullmatch(re.escape(pinned) + BUILD, reported):
        return None
    text = (
        f"the engine is version {reported}, and the pool pins {pinned}: run that version, or change "
        "`provisioning.version`"
    )
    return Fault("mismatch", text)
