"""Game settings: a JSON object that a game keeps for its user, with the version that guards it. Contract section 2."""

import json
import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Final, Protocol, TypeAlias

from chassis.errors import DomainError, FieldViolation, Kind
from library_svc.ids import ProductId, UserId

JsonValue: TypeAlias = "str | int | float | bool | Sequence[JsonValue] | Mapping[str, JsonValue] | None"
Payload: TypeAlias = Mapping[str, JsonValue]

MAX_PAYLOAD_BYTES: Final = 256 * 1024
"""Of the payload as compact JSON in UTF-8."""

MAX_EXACT_DOUBLE: Final = 2**53
ANY_VERSION: Final = "*"


@dataclass(frozen=True, slots=True)
class GameSettings:
    """A user's settings of a product.

    Attributes:
        version: counts the changes of the payload, from 1.
        last_updated_at: when the payload last became another one.
        last_synced_with_cloud_at: when a client last sent its settings, changed or not.
    """

    user_id: UserId
    product_id: ProductId
    settings_payload: Payload
    version: int
    last_updated_at: datetime
    last_synced_with_cloud_at: datetime

    def require_match(self, if_match: Collection[str]) -> None:
        """Passes when the version is among those that the caller has seen.

        Raises:
            PreconditionRequired: the caller names none.
            SettingsVersionConflict: it is not among them.
        """
        if not if_match:
            raise PreconditionRequired
        if ANY_VERSION not in if_match and str(self.version) not in if_match:
            raise SettingsVersionConflict(self.version)

    def with_payload(self, payload: Payload, at: datetime) -> "GameSettings":
        """The settings after a client sent these; the same payload again is no change.

        Raises:
            DomainError: as `checked`.
        """
        if encoded(payload) == encoded(self.settings_payload):
            return replace(self, last_synced_with_cloud_at=at)
        return replace(
            self,
            settings_payload=checked(payload),
            version=self.version + 1,
            last_updated_at=at,
            last_synced_with_cloud_at=at,
        )


@dataclass(frozen=True, slots=True)
class GameSettingsUpdated:
    """A user's settings of a product are others than before."""

    user_id: UserId
    product_id: ProductId
    updated_at: datetime


class GameSettingsNotFound(DomainError):
    """The user keeps no settings of the product."""

    def __init__(self, product_id: ProductId) -> None:
        super().__init__(Kind.NOT_FOUND, "GAME_SETTINGS_NOT_FOUND", details={"product_id": str(product_id)})


class PreconditionRequired(DomainError):
    """Settings are there, and the caller does not say which version they change."""

    def __init__(self) -> None:
        named = FieldViolation("if_match", "value is required", "if_match.required")
        super().__init__(Kind.FAILED_PRECONDITION, "PRECONDITION_REQUIRED", violations=[named])


class SettingsVersionConflict(DomainError):
    """The settings are of another version than the caller has seen; None: there are none."""

    def __init__(self, current_version: int | None) -> None:
        details = {} if current_version is None else {"current_version": str(current_version)}
        named = FieldViolation("if_match", "does not match the current version", "if_match.stale")
        super().__init__(Kind.ABORTED, "SETTINGS_VERSION_CONFLICT", details=details, violations=[named])


def merged(target: JsonValue, patch: JsonValue) -> JsonValue:
    """The target after a JSON merge patch (RFC 7396, section 2)."""
    if not isinstance(patch, Mapping):
        return patch
    result = dict(target) if isinstance(target, Mapping) else {}
    for name, value in patch.items():
        if value is None:
            result.pop(name, None)
        else:
            result[name] = merged(result.get(name), value)
    return result


def with_patch(payload: Payload, patch: Payload) -> Payload:
    """The payload after a patch, which is an object like it."""
    result = merged(payload, patch)
    return result if isinstance(result, Mapping) else {}


def normalised(value: JsonValue) -> JsonValue:
    """The value with each number in one form, whichever store or wire it came from: an integer where a double says it exactly."""
    if isinstance(value, Mapping):
        return {name: normalised(member) for name, member in value.items()}
    if isinstance(value, Sequence) and not isinstance(value, str):
        return [normalised(member) for member in value]
    if isinstance(value, bool) or not isinstance(value, int | float):
        return value
    number = float(value)
    is_whole = math.isfinite(number) and number.is_integer() and abs(number) <= MAX_EXACT_DOUBLE
    return int(number) if is_whole else number


def encoded(payload: Payload) -> str:
    """The payload as compact JSON; equal payloads give equal texts."""
    return json.dumps(payload, ensure_ascii=False, separators=(",", ":"), sort_keys=True)


def checked(payload: Payload) -> Payload:
    """The payload, if it can be kept.

    Raises:
        DomainError: PAYLOAD_TOO_LARGE; INVALID_ARGUMENT for a character or number that JSON or the store has no place for.
    """
    if _is_unstorable(payload):
        description = "must have no character U+0000 and only finite numbers"
        raise DomainError(
            Kind.INVALID_ARGUMENT,
            "INVALID_ARGUMENT",
            details={"description": description},
            violations=[FieldViolation("settings.settings_payload", description, "payload.storable")],
        )
    if len(encoded(payload).encode()) > MAX_PAYLOAD_BYTES:
        raise DomainError(Kind.RESOURCE_EXHAUSTED, "PAYLOAD_TOO_LARGE", details={"limit_bytes": str(MAX_PAYLOAD_BYTES)})
    return payload


def _is_unstorable(value: JsonValue) -> bool:
    if isinstance(value, str):
        return "\0" in value
    if isinstance(value, Mapping):
        return any("\0" in name or _is_unstorable(member) for name, member in value.items())
    if isinstance(value, Sequence):
        return any(map(_is_unstorable, value))
    return isinstance(value, float) and not math.isfinite(value)


class GameSettingsStore(Protocol):
    """The game settings of a transaction."""

    async def find(self, user_id: UserId, product_id: ProductId) -> GameSettings | None:
        """Locks what it finds until the transaction ends."""

    async def save(self, settings: GameSettings) -> None:
        """Adds the settings, or replaces those of the same user and product."""
