"""`python -m remez.cli`."""

import sys

from remez.cli.program import main

sys.exit(main())
