"""The verbs of `deploy`, a module each, and what they share."""
