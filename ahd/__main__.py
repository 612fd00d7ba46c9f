import sys

from ahd.cli import main

sys.exit(main())
