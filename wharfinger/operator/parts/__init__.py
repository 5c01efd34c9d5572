"""Starters of real parts (etcd, Nginx, dockerd) as private processes, for the demo and tests."""
