"""The requirement index: every sentence of the specifications with the contracts, checks and code that name it."""
