"""Sinks: where records go, each with its own protocol and its own acknowledgement."""
