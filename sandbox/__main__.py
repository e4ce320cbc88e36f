"""`python -m sandbox [serve|migrate]`."""

from sandbox.main import main

main()
