"""What etcd holds of this host: what is desired, what is there, and the difference."""
