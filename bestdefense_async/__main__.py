"""`python -m bestdefense_async`: the command `bestdefense`."""

import sys

from bestdefense_async.cli import main

sys.exit(main())
