"""Changes to an entity: a value for each attribute that a user may change, or UNCHANGED. Each noun has its own."""

from dataclasses import fields, replace
from enum import Enum
from typing import TYPE_CHECKING, Any, Final, TypeVar

if TYPE_CHECKING:
    from _typeshed import DataclassInstance


Entity = TypeVar("Entity", bound="DataclassInstance")


class Unchanged(Enum):
    """The type of UNCHANGED, which is no value of any attribute (None is one: it clears)."""

    UNCHANGED = "unchanged"


UNCHANGED: Final = Unchanged.UNCHANGED


def changed(entity: Entity, changes: "DataclassInstance") -> Entity:
    """The entity with the changes. Both name their attributes alike; what only the changes have is not of the entity."""
    own = {field.name for field in fields(entity)}
    values: dict[str, Any] = {field.name: getattr(changes, field.name) for field in fields(changes)}
    return replace(entity, **{name: value for name, value in values.items() if name in own and value is not UNCHANGED})


def differing(before: Entity, after: Entity) -> frozenset[str]:
    """The attributes in which an entity is another one than before."""
    names = (field.name for field in fields(before))
    return frozenset(name for name in names if getattr(before, name) != getattr(after, name))
