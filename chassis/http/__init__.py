"""The aiohttp servers of every program: bounded bodies, headers and time."""
