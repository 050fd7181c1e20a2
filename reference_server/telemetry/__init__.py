"""Metrics and logs, made from the domain's effects."""
