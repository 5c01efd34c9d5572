"""What a line is made of, for every way in and out: its fields, time, level and words."""
