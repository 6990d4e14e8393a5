"""`python -m mepipe` is `mepipe`."""

from mepipe.cli import main

if __name__ == "__main__":
    main()
