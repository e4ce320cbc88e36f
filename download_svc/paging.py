"""The reads of use cases outside of transactions, page by page where there may be many rows, and their shapes. Adapters:
infrastructure/postgres_*.py and memory.py; one contract suite (tests/contract/download) runs over both.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class PageRequest:
    """The number of a page, from 1, and its size."""

    number: int = 1
    size: int = 20

    @property
    def offset(self) -> int:
        return (self.number - 1) * self.size


@dataclass(frozen=True, slots=True)
class Page(Generic[T]):
    """One page, and how many there are in all."""

    items: Sequence[T]
    total: int
