"""Numbers for PostgreSQL's advisory locks, derived from names. One database has one space of them."""

import hashlib


def lock_key(*names: str) -> int:
    """A signed 64-bit number for the names; others hit it with a chance of 2⁻⁶⁴, which costs waiting and nothing else."""
    digest = hashlib.blake2b("\0".join(names).encode(), digest_size=8).digest()
    return int.from_bytes(digest, "big", signed=True)
