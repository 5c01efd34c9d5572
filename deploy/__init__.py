"""What carries Wharfinger, and applications, onto hosts: files for engines, and their release."""
