"""The log and the process: what a server writes and how it ends, beside the wire."""

from collections.abc import Iterator
from typing import Any

from harness.saboteur.defect import exits, logs

Line = dict[str, Any]


@logs("OC-CTRL-2050", "ORCH-3029")
def an_admission_without_place(line: Line) -> Iterator[Line]:
    """The log line of an admission has another place than its answer."""
    yield {**line, "queue_position": line["queue_position"] + 1} if "queue_position" in line else line


@logs("ORCH-3027", "OC-CORE-1040")
def a_line_without_tokens(line: Line) -> Iterator[Line]:
    """A log line about a task does not tell its tokens."""
    yield {name: value for name, value in line.items() if name != "tokens_out"}


@logs("OC-CORE-1040")
def an_end_is_not_logged(line: Line) -> Iterator[Line]:
    """The end of a task is not logged."""
    if line.get("decode_time_ms") is None:
        yield line


@logs("OC-CTRL-2052")
def a_line_without_its_correlation(line: Line) -> Iterator[Line]:
    """A log line has another correlation id than its request."""
    yield {**line, "correlation_id": "another"} if "correlation_id" in line else line


@logs("OC-CTRL-2041")
def a_prompt_in_the_log(line: Line) -> Iterator[Line]:
    """A log line shows what was asked."""
    yield {**line, "last_error": "cannot parse swordfish-under-the-pier"} if "job_id" in line else line


@logs("OC-CTRL-2041")
def a_token_in_the_log(line: Line) -> Iterator[Line]:
    """A log line shows a token that was sent."""
    yield {**line, "last_error": "token sesame-opens-nothing is wrong"} if "job_id" in line else line


@exits("OC-CTRL-2071", "HME-004")
def a_stop_is_a_failure(code: int) -> int:
    """A server that was told to stop exits with 1."""
    return 1
