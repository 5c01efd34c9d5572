"""Discovery: etcd to configuration files, checked, swapped in whole, reloaded."""
