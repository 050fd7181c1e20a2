"""The chaos suite: faults on purpose, and what must hold through them."""
