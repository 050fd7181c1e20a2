"""The HTTP edge: one module for each resource, and no rules."""
