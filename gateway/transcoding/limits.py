"""Ranges of numbers that protobuf's types have (https://protobuf.dev/programming-guides/json/)."""

MIN_INT32, MAX_INT32, MAX_UINT32 = -(2**31), 2**31 - 1, 2**32 - 1
MIN_INT64, MAX_INT64, MAX_UINT64 = -(2**63), 2**63 - 1, 2**64 - 1
MAX_FLOAT32 = 3.4028235677973362e38
"""The largest number that a 32-bit one can stand for when rounded."""
MAX_EXACT_DOUBLE = 2**53
"""Above it a double skips integers."""
MAX_HALVED_DOUBLE = 2**52
"""From this value on, a double has no halves: a number written with a fraction may look whole."""
MAX_DURATION_SECONDS = 315_576_000_000
