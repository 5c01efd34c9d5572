"""One change on its way to disk and into service, and the way back."""
