"""What runs the containers of an environment: an adapter for each engine."""
