"""`wharfinger doctor`: what is wrong with this host, where, and how it is mended."""
