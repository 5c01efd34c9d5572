"""Runs `python -m registrar`."""

from registrar.cli import main

if __name__ == "__main__":
    main()
