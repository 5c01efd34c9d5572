"""The log shipper: every line of every container to a central store, at least once."""
