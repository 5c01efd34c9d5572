"""Taking instances out so that no request is lost, by command or before a stop."""
