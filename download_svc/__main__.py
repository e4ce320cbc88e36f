"""`python -m download_svc [serve|migrate]`."""

import sys

from download_svc.main import main

if __name__ == "__main__":
    sys.exit(main())
