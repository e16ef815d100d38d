"""`python -m rsae` is the command `rsae`."""

import sys

from rsae_cli import main

sys.exit(main())
