"""Where models come from: one module a source, each through the gateway."""
