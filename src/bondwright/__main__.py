"""`python -m bondwright` is the same as the command `bondwright`."""

from bondwright.cli import main

if __name__ == "__main__":
    main()
