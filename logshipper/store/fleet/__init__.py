"""The fleet: what etcd says of all hosts, told to browsers, and orders back to the hosts."""
