"""`python -m sandq` is the `sandq` command."""

import sys

from sandq.cli.main import main

sys.exit(main())
