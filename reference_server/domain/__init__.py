"""The rules: queue, admission, placement, sessions, budgets, transcripts; no I/O, no clock."""
