"""`python -m library_svc [serve|migrate]`."""

import sys

from library_svc.main import main

if __name__ == "__main__":
    sys.exit(main())
