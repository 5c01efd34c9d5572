"""Swarm: stacks that are rolled out, watched, and rolled back by the managers."""
