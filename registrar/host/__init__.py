"""Whose host this is, and where it is reached."""
