"""What was done to an environment, by whom, and who does something to it now; in etcd."""
