"""Where progress goes: standard error, so that standard output stays for what a program reads."""

from rich.console import Console

CONSOLE = Console(stderr=True, highlight=False)


def say(text: str) -> None:
    """One line of progress."""
    CONSOLE.print(text, markup=False, soft_wrap=True)
