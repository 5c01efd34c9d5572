"""Loki's ways out, for Grafana: what its data source asks, as Loki answers."""
