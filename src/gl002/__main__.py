"""`python -m gl002` is `gl002`."""

import sys

from gl002.cli import main

if __name__ == "__main__":
    sys.exit(main())
