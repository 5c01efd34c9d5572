"""Resources kept at the latest snapshot: when each is rendered, published, tried again."""
