"""`python -m remez` is the command `remez`."""

import sys

from remez.cli.program import main

sys.exit(main())
