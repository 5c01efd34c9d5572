"""Files of text that programs write by themselves, inside containers and on the host."""
