"""``python -m g2rec`` is the same as ``g2rec``."""

import sys

from g2rec.cli import main

sys.exit(main())
