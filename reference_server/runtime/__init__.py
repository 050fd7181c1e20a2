"""The asyncio shell around the domain: the one owner of state, task runners, engine processes."""
