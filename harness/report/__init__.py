"""Listeners of a run: console, JSON, HTML."""
