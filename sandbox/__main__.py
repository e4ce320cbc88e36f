"""`python -m sandbox [serve|migrate]`."""

from sandbox.peers.main import main

main()
