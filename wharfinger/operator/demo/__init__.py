"""The main job, for real, in one go: what `wharfinger demo` and `make demo` run."""
