"""Which tasks of a pool try a new version first: those of a share of the sessions, and those that carry a label.

The new version is a pool of its own, so that no replica set mixes versions (ORCH-3007). A session is on one side as
long as the share stays, and one that is drawn at a share is drawn at any larger one.

Source: ORCH-3033, OC-POOL-3018.
"""

import hashlib
from dataclasses import dataclass

from reference_server.domain.task import TaskRequest


@dataclass(frozen=True, slots=True, kw_only=True)
class Canary:
    """The pool that tries a new version.

    Attributes:
        share: of the sessions, 0 … 1.
        label: tasks that carry it are tried there, whatever their session.
    """

    pool_id: str
    share: float = 0.0
    label: str | None = None

    def draws(self, request: TaskRequest) -> bool:
        """The task is to be tried there: the same answer to the same label, session and share."""
        is_labelled = self.label is not None and request.label == self.label
        return is_labelled or place_of(request.session_id, self.pool_id) < self.share


def place_of(session_id: str, pool_id: str) -> float:
    """Where a session stands in 0 … 1, without 1: evenly spread, and elsewhere for each canary."""
    text = f"{pool_id} {session_id}"
    digest = hashlib.blake2b(text.encode(), digest_size=8, person=b"orchq-canary-v1").digest()
    return (int.from_bytes(digest) >> 11) / 2**53  # what a float holds exactly: never rounded up to 1
