"""`wharfinger logs`: search the log store, follow it, count and save what is there."""
