"""`python -m deploy.release`: the command `deploy`."""

from deploy.release.entry import main

if __name__ == "__main__":
    main()
