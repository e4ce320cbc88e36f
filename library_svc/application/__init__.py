"""The use cases of the library and the ports they stand on. A use case is a function; it opens at most one transaction."""
