"""How many instances an environment's autoscale rule asks for, by what is asked of them."""
