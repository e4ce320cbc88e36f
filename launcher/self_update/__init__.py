"""The launcher's own updates: which release to have, whether it is genuine, and the swap that leaves one of two that runs."""
