"""What confd does, in our own words: its flags, its times, its paths, its store."""
