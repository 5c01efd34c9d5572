"""The two files that rancher-compose reads, held against what it does with them."""

from deploy.release.rancher.stack import check

__all__ = ["check"]
