"""`python -m rvc`: the command line without its script."""

import sys

from rvc.cli import main

sys.exit(main())
