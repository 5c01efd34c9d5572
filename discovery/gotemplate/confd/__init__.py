"""confd's functions, with its results and its errors."""
