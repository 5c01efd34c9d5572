"""Go's text/template in Python: parsed and compiled once, bounded, with Go's values and errors."""
