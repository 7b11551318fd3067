"""`python -m ringwatch` does what the command `ringwatch` does."""

from ringwatch.cli import main

if __name__ == "__main__":
    main()
