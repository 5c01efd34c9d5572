"""What is on disk: the day files, who writes them, who reads them, when they go."""
