"""What two or more of the daemons share: keys, configuration, lifecycle, etcd, Docker."""

__version__ = "0.1.0"
