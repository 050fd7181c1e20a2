"""Sampler profiles by version: what a request means that says nothing but a seed (OC-ADAPT-5010).

Written down here once more, apart from every server: whoever asks an engine directly has to ask for the same.
"""

from collections.abc import Mapping
from typing import Final

PROFILES: Final[Mapping[str, Mapping[str, float]]] = {
    "v1": {"temperature": 0.8, "top_k": 40, "top_p": 0.95, "min_p": 0.05, "repeat_penalty": 1.0}
}
