"""Which checks there are, and the evidence that each of them leaves."""
