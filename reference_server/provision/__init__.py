"""Engines and models that bring themselves into the cache."""
