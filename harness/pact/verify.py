"""Verifies one interaction at a time with the Pact verifier, and says what differs.

One at a time: progress is seen, a stream that never ends is a HANG of one interaction alone, and a verifier that has
silently left one out is noticed, because it has to report exactly one result.

Source: OC-TEST-7031, OC-TEST-7032.
"""

import json
import os
import re
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from harness.outcome import Outcome
from harness.pact.pact_file import Interaction, PactFile

os.environ.setdefault("PACT_DO_NOT_TRACK", "true")  # before the library is loaded

SHOWN_BYTES = 300  # of a body, in a difference

RULE_COMMENT = re.compile(r"' to match '\(\?#([^)]*)\)")
TIMED_OUT = ("error decoding response body", "timed out")


class VerifierError(Exception):
    """The verifier did not do its work: a defect of ours or its, never of the provider."""


@dataclass(frozen=True, slots=True)
class Difference:
    """One thing that is not as the pact says.

    Attributes:
        where: `status`, `header NAME`, or the member's path in the body.
    """

    where: str
    text: str


@dataclass(frozen=True, slots=True)
class Verdict:
    """How one interaction ended.

    Attributes:
        reason: why it could not be tested, or did not end; empty otherwise.
    """

    interaction: Interaction
    outcome: Outcome
    reason: str = ""
    differences: tuple[Difference, ...] = ()


def verify(
    pact: PactFile,
    interaction: Interaction,
    *,
    url: str,
    values: Mapping[str, str],
    api_key: str | None,
    limit_s: float,
) -> Verdict:
    """Send the request to `url`, and compare the answer.

    Args:
        limit_s: for the whole answer, a stream's end included.

    Raises:
        VerifierError: no result, or more than one.
    """
    results = _run(pact.alone(interaction, values), url=url, api_key=api_key, limit_s=limit_s)
    found = results.get("interactionResults", [])
    if [entry.get("description") for entry in found] != [interaction.description]:
        raise VerifierError(f"the verifier gave {len(found)} results for 1 interaction: {interaction.description}")
    if found[0]["result"] == "OK":
        return Verdict(interaction, Outcome.PASS)
    mismatch = found[0].get("mismatch", {})
    if mismatch.get("type") != "mismatches":
        text = str(mismatch.get("message", mismatch))
        if any(words in text for words in TIMED_OUT):
            return Verdict(interaction, Outcome.HANG, f"the answer did not end within {limit_s:g} s, or broke off")
        return Verdict(interaction, Outcome.FAIL, differences=(Difference("answer", text),))
    return Verdict(interaction, Outcome.FAIL, differences=tuple(_differences(mismatch["mismatches"])))


def _differences(mismatches: list[dict[str, Any]]) -> Iterator[Difference]:
    for entry in mismatches:
        text = str(entry.get("mismatch", ""))
        if (rule := RULE_COMMENT.search(text)) is not None:  # our rules for streams begin with what they say
            yield Difference("body", f"expected that {rule[1]}, got {_shown(str(entry.get('actual')))}")
        elif entry.get("type") == "HeaderMismatch":
            yield Difference(f"header {entry.get('key')}", text)
        elif entry.get("type") == "StatusMismatch":
            yield Difference("status", text)
        else:
            yield Difference(str(entry.get("path", "body")), text)


def _shown(body: str) -> str:
    return repr(body if len(body) <= SHOWN_BYTES else body[:SHOWN_BYTES] + "…")


def _run(pact: Mapping[str, Any], *, url: str, api_key: str | None, limit_s: float) -> dict[str, Any]:
    from pact import Verifier

    with tempfile.TemporaryDirectory() as folder, _silent():
        file = Path(folder) / "pact.json"
        file.write_text(json.dumps(pact), encoding="utf-8")
        verifier = Verifier(pact["provider"]["name"], host=urlsplit(url).hostname)
        verifier.add_transport(url=url).add_source(file).follow_redirects(False)  # noqa: FBT003 - its signature
        verifier.set_request_timeout(round(limit_s * 1000))
        if api_key:
            verifier.add_custom_header("Authorization", f"Bearer {api_key}")
        with suppress(RuntimeError):  # what it found is in the results
            verifier.verify()
        return dict(verifier.results)


@contextmanager
def _silent() -> Iterator[None]:
    """The verifier writes to the process's standard output by itself, which is ours to write."""
    kept, nowhere = os.dup(1), os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 1)
    try:
        yield
    finally:
        os.dup2(kept, 1)
        os.close(kept)
        os.close(nowhere)
