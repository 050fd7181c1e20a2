"""The determinism suite: equal inputs, equal streams."""
