"""An OCI runtime in front of runc: a container starts with its port in its environment."""
