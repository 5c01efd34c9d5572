"""Encodings: what the documents of each protocol look like; pure."""
