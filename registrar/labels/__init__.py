"""What a container asks for, in our own labels and in registrator's spellings."""
