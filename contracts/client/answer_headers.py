"""Generated from contracts/openapi/data.yaml and contracts/openapi/control.yaml by `python -m tools gen`. Do not edit."""

from collections.abc import Mapping


class AnswerHeaders:
    """The headers that the contract gives its answers, by their meaning; None where an answer has none.

    A header that is not what the contract says raises ValueError.

    Attributes:
        headers: all of them, by names of any case.
    """

    __slots__ = ()

    headers: Mapping[str, str]

    @property
    def correlation_id(self) -> str | None:
        """The request's own id, or a fresh UUIDv4."""
        text = self.headers.get("X-Correlation-Id")
        return None if text is None else str(text)

    @property
    def budget_tokens_remaining(self) -> int | None:
        """Tokens the session may still use; present when it has a token budget."""
        text = self.headers.get("X-Budget-Tokens-Remaining")
        return None if text is None else int(text)

    @property
    def budget_time_remaining_ms(self) -> int | None:
        """Milliseconds of decoding the session may still use; present when it has a time budget."""
        text = self.headers.get("X-Budget-Time-Remaining-Ms")
        return None if text is None else int(text)

    @property
    def budget_cost_remaining(self) -> float | None:
        """What the session may still spend; present when it has a cost budget."""
        text = self.headers.get("X-Budget-Cost-Remaining")
        return None if text is None else float(text)

    @property
    def content_security_policy(self) -> str | None:
        """Lets in the page's own style and script, and requests to this server."""
        text = self.headers.get("Content-Security-Policy")
        return None if text is None else str(text)
