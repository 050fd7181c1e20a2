"""The developer's loop: `python -m tools check` and its parts."""
