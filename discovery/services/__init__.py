"""etcd's keys, or a file in their place, read as typed services."""
