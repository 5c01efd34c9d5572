"""Several hosts on one machine: each has its namespaces, its engine and its place on a network."""
