"""Manual pages and completion in shells, made from the commands and the configuration's models."""
