"""The reference server: `app.py` puts its parts together."""
