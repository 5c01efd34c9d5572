"""The Nginx that runs: which generation it serves, and its peers, told without a reload."""
