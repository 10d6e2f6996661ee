"""python -m imgproc"""

import sys

from imgproc.cli import main

if __name__ == "__main__":
    sys.exit(main())
