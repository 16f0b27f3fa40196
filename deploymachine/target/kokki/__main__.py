"""`python -m kokki`: see kokki.command."""

import sys

from kokki.command import main

sys.exit(main())
