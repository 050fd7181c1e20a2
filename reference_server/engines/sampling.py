"""Sampler profiles: what a request means when it says nothing but a seed, the same on every engine, by version.

A profile is never changed: another figure is another version (ORCH-3046, OC-CORE-1031).

Source: ORCH-3058, OC-ADAPT-5010.
"""

from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, slots=True)
class SamplerProfile:
    """How tokens are drawn.

    Attributes:
        temperature: 0 = always the likeliest token.
        top_k: 0 = off. top_p, min_p: 1.0 and 0.0 = off. repeat_penalty: 1.0 = off.
    """

    temperature: float
    top_k: int
    top_p: float
    min_p: float
    repeat_penalty: float


PROFILES: Final = {"v1": SamplerProfile(temperature=0.8, top_k=40, top_p=0.95, min_p=0.05, repeat_penalty=1.0)}
