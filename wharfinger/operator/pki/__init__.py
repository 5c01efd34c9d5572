"""`wharfinger pki`: a small certificate authority, and the users of etcd that it makes."""
