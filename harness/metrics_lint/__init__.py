"""`llama-orch metrics lint`: one scrape, or two, held against the metrics contract."""
