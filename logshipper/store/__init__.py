"""The log store: SQLite files by day, full-text search, acknowledged after commit."""
