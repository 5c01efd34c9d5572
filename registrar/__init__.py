"""The registrar: a port of its own for each container, kept true in etcd."""
