"""What the daemons of this host say of themselves, shipped as logs are."""
