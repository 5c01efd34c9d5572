"""What may be done to a line between the log and the sink; pure."""
