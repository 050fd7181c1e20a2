"""The prompts of the suite: short, so that a run is decode and not prefill, and as different as texts are.

Never change one: a stream belongs to its prompt. Add at the end.
"""

from typing import Final

PROMPTS: Final = (
    "The queue moves one step at a time, and",
    "Once upon a time, in a small house by the sea,",
    "def first_in_first_out(items):\n    ",
    "Numbers: 1, 2, 3, 4, 5,",
    "L'été dernier, à la plage, naïve et heureuse,",
    "水 🦙 €: three signs, and their names are",
    "   two  spaces,\ta tab\nand a new line:\n",
    "Q: What waits at the end of a long line?\nA:",
)
