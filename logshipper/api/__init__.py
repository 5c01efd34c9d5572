"""Logs that no file of ours holds: read through Docker's API."""
