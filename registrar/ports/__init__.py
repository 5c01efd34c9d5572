"""A port of its own for each container: the table of them, and how each is told."""
