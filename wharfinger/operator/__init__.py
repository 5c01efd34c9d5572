"""The operator's command: demo, status, doctor, logs and what installs the daemons."""
