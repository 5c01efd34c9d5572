"""Runs `python -m logshipper`."""

from logshipper.cli import main

if __name__ == "__main__":
    main()
