"""Other tasks that decode while a stream is judged.

A stream counts as one beside so many others only where all of them had sent a token before it was submitted, and still
ran when it had ended. One that ended early was not there, and nor was one that waited.

Source: OC-TEST-7061, OC-TEST-7068.
"""

from collections.abc import Sequence
from typing import Any, Literal

from harness.client import Client
from harness.stream_reader import StreamReader


class Siblings:
    """Those of one judged stream.

    Args:
        tasks: to be submitted; long ones.
        deadline_ms: for the first token of each.
    """

    def __init__(self, client: Client, tasks: Sequence[dict[str, Any]], *, deadline_ms: float) -> None:
        self._client = client
        self._tasks = tasks
        self._deadline_ms = deadline_ms
        self._readers: list[StreamReader] = []

    def start(self) -> str:
        """Submit all, and wait until each has sent a token.

        Returns:
            Why they are not all there; nothing where they are.

        Raises:
            HangError: one did not send any in time.
        """
        for number, task in enumerate(self._tasks, start=1):
            answer = self._client.submit(task)
            if answer.status != 202:
                return f"sibling {number} of {len(self._tasks)} not admitted: {answer}"
            self._readers.append(self._client.start_stream(str(task["task_id"])))
        self._client.wait_until(
            lambda: all(reader.record.tokens or not reader.is_open for reader in self._readers),
            deadline_ms=self._deadline_ms,
            what=f"the first token of {len(self._readers)} siblings",
        )
        return self.why_not_there("began")

    def why_not_there(self, when: Literal["began", "had ended"]) -> str:
        """Which of them does not decode now that the stream did that; nothing where all do."""
        for number, reader in enumerate(self._readers, start=1):
            state = self._client.status(reader.record.task_id).json["state"]
            if state != "running":
                total = len(self._tasks)
                return f"sibling {number} of {total} did not decode when the stream {when}: it is {state}"
        return ""

    def on(self, replica: str) -> int:
        """How many of them decode on this replica, as `started` names it."""
        frames = [reader.record.frames[0].payload for reader in self._readers if reader.record.frames]
        return sum(isinstance(f, dict) and f.get("replica_id") == replica for f in frames)

    def cancel(self) -> None:
        """End them."""
        for reader in self._readers:
            self._client.request("POST", f"/v1/tasks/{reader.record.task_id}/cancel")
