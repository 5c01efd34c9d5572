"""Who may: tokens, sessions, users that a proxy names, certificates; rates, and what is noted."""
