"""The server's wire types, generated."""
