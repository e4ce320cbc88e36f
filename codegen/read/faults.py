"""Contradictions in the contract: each names its file, line and rule, and all of them are reported at once."""

from dataclasses import dataclass, field

from codegen.read.model import Location


@dataclass(frozen=True, slots=True, order=True)
class Fault:
    """A contradiction in the contract: where, which rule, what to do about it."""

    file: str
    line: int
    rule: str
    text: str

    def __str__(self) -> str:
        return f"{self.file}:{self.line}: {self.rule}: {self.text}"


@dataclass(slots=True)
class Faults:
    """Collects faults; finding one does not end the search."""

    found: list[Fault] = field(default_factory=list)

    def add(self, location: Location, rule: str, text: str) -> None:
        self.found.append(Fault(location.file, location.line, rule, text))
