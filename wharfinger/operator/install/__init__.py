"""`wharfinger install` and `uninstall`: from what is on a host to what is wanted."""
