"""What outlives the process: journal, catalog, artifacts; SQLite or memory."""
