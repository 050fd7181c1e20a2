"""The haiku: an end-to-end proof that answers come from a real engine. What it proves: contracts/decisions."""
