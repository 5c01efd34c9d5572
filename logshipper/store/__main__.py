"""Runs `python -m logshipper.store`."""

from logshipper.store.cli import main

if __name__ == "__main__":
    main()
