"""LogQL, Loki's query language, as far as Grafana asks it: from its text to our queries."""
