"""What a check finds, and how an exchange is held to an expected error."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Violation:
    """One sentence of the specs that did not hold.

    Attributes:
        req: the sentence's id.
        expected, actual: in words.
        at: the exchange or stream that shows it, as text.
    """

    req: str
    expected: str
    actual: str
    at: str = ""

    def __str__(self) -> str:
        lines = [f"{self.req}: expected {self.expected}", f"  actual: {self.actual}"]
        return "\n".join([*lines, *(f"  {line}" for line in self.at.splitlines())])


@dataclass(frozen=True, slots=True)
class Finding(Violation):
    """A violation in a text with lines.

    Attributes:
        series: what it is about, as the text names it.
        line: counted from 1; 0 = of no line, such as something absent.
    """

    series: str = ""
    line: int = 0
