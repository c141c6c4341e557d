"""`python -m ironbucket`: the same as the command `ironbucket`."""

import sys

from ironbucket.cli import main

if __name__ == "__main__":
    sys.exit(main())
