"""What is known of an image: reports read without trust, and whether that is enough."""
