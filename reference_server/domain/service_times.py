"""What a pool has measured of its own service, and what follows: when a task will start, end, and when to come back.

Everything is estimated from finished work: exponentially weighted, so that the last ten tasks or so count.
Before the first measurement the estimates are 0: a pool is believed to be fast until it was seen to be slow.

Source: ORCH-3029, ORCH-2007, OC-CORE-1047, OC-CTRL-2023; `Retry-After` follows from the drain rate.
"""

import math
from collections.abc import Iterable
from dataclasses import dataclass

WEIGHT = 0.2  # of the newest measurement: about the last ten tasks count
RETRY_MS_MIN, RETRY_MS_MAX = 50, 60_000
RETRY_MS_UNMEASURED = 1_000
NINE_OF_TEN = 1.2816  # standard deviations above the mean that nine of ten stay below
DEVIATION = math.sqrt(math.pi / 2)  # of a normal error, in mean absolute errors
RETRY_MARGIN_MAX = 0.5  # of the expected wait: nobody is told to wait much longer than it takes (OC-CORE-1045)


@dataclass(slots=True)
class ServiceTimes:
    """Exponentially weighted means of one pool.

    Attributes:
        first_token_ms: from dispatch to the first token.
        token_ms: per token after the first.
        fill: the share of `max_tokens` that answers really use, 0 … 1.
        spread: mean absolute error of the predicted service times, as a share of them, ≥ 0.
        measured: how many were taken in, guesses among them.
        is_guess: there were guesses only.
    """

    first_token_ms: float = 0.0
    token_ms: float = 0.0
    fill: float = 1.0
    spread: float = 0.25
    measured: int = 0
    is_guess: bool = False

    def observe(
        self, *, first_token_ms: int, decode_ms: int, tokens_out: int, max_tokens: int, is_guess: bool = False
    ) -> None:
        """Take in one task that ended well.

        Args:
            decode_ms: from dispatch to the end, ≥ `first_token_ms`.
            is_guess: it was no task but a few tokens, as of a self-test: counts until the first task takes its place.
        """
        if tokens_out < 1 or (is_guess and self.measured and not self.is_guess):
            return
        token_ms = (decode_ms - first_token_ms) / max(1, tokens_out - 1) if tokens_out > 1 else self.token_ms
        predicted = self.service_ms(tokens_out)
        is_first = self.measured == 0 or (self.is_guess and not is_guess)
        if not is_first and predicted > 0:
            self.spread += WEIGHT * (abs(decode_ms - predicted) / predicted - self.spread)
        weight = 1.0 if is_first else WEIGHT
        self.first_token_ms += weight * (first_token_ms - self.first_token_ms)
        self.token_ms += weight * (token_ms - self.token_ms)
        self.fill += WEIGHT * (min(1.0, tokens_out / max_tokens) - self.fill)
        self.is_guess = is_guess
        self.measured += 1

    def service_ms(self, tokens: float) -> float:
        """How long a slot is busy with an answer of so many tokens."""
        return self.first_token_ms + self.token_ms * tokens

    def wait_ms(self, *, tasks_ahead: int, tokens_ahead: float, tokens_running: Iterable[float], slots: int) -> int:
        """How long a newcomer will wait, when every slot is busy.

        Args:
            tokens_running: what each running task is still expected to decode.
        """
        queued = tasks_ahead * self.first_token_ms + tokens_ahead * self.fill * self.token_ms
        running = sum(tokens_running) * self.token_ms
        return math.ceil((queued + running) / max(1, slots))

    def retry_after_ms(
        self, *, tasks_ahead: int, tokens_ahead: float, tokens_running: Iterable[float], slots: int
    ) -> int:
        """When a place in a full lane is free in nine of ten cases: the next slot that frees, after all that go first.

        The mean of what was measured would be too early for half of those who come again then (OC-CORE-1044).

        Args:
            tasks_ahead, tokens_ahead: of higher lanes; the own lane frees a place with its next dispatch.
        """
        if not self.measured:
            return RETRY_MS_UNMEASURED
        next_free = min(tokens_running, default=0.0) * self.token_ms
        higher = tasks_ahead * self.first_token_ms + tokens_ahead * self.fill * self.token_ms
        expected = next_free + higher / max(1, slots)
        margin = min(NINE_OF_TEN * self._deviation_ms(expected), RETRY_MARGIN_MAX * expected)
        return int(min(max(math.ceil(expected + margin), RETRY_MS_MIN), RETRY_MS_MAX))

    def on_time_probability(self, *, needed_ms: float, left_ms: float) -> float:
        """The chance, 0 … 1, that work predicted to take `needed_ms` is done within `left_ms`.

        Errors are taken to be normal around the prediction, as wide as they were measured.
        """
        if left_ms <= 0:
            return 0.0
        if needed_ms <= 0:
            return 1.0
        errors = self._deviation_ms(needed_ms) * math.sqrt(2)
        return round(0.5 * (1 + math.erf((left_ms - needed_ms) / errors)), 4)

    def _deviation_ms(self, predicted_ms: float) -> float:
        return max(DEVIATION * self.spread * predicted_ms, 0.05 * predicted_ms, 1.0)  # the clock counts milliseconds
