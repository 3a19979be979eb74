"""`python -m wingbar` is the command line."""

from wingbar.cli import main

if __name__ == "__main__":
    main()
