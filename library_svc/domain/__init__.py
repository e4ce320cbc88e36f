"""The rules of the library as values and pure functions: no clock, no database, no wire."""
