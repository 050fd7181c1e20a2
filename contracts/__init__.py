"""The source of truth: specifications, OpenAPI, error codes, metrics, and what is generated from them."""
