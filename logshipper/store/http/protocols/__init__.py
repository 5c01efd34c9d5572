"""The protocols in which lines come in: a body to documents, an outcome to its answer; pure."""
