"""Compose: one host, replaced instance by instance, in a loop of ours."""
