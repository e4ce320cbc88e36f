"""The place of each game's saves on this device, and the common state with the cloud after the last sync: the profile's
`saves.json`.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any
from uuid import UUID

from launcher.failures import ExitCode, LauncherError
from launcher.saves.plan import Base
from launcher.saves.sealing import SaveKey, key_of
from launcher.settings import Environment, read_saves, write_saves

DEFAULT_SLOT = "saves"
DEFAULT_PATTERNS = ("*",)


@dataclass(frozen=True, slots=True)
class SaveRule:
    """A game's saves: a folder, what in it (`*.sav`; a pattern is matched against the name and the whole path), and the slot."""

    product_id: UUID
    folder: Path
    patterns: tuple[str, ...] = DEFAULT_PATTERNS
    slot: str = DEFAULT_SLOT


class SaveBook:
    """The rules and bases of the profile; every change is on the disk when the call returns."""

    def __init__(self, environment: Environment, gateway_url: str) -> None:
        self._environment = environment
        self._gateway_url = gateway_url

    def rules(self) -> list[SaveRule]:
        try:
            return [
                SaveRule(UUID(product_id), Path(rule["folder"]), tuple(rule["patterns"]), rule["slot"])
                for product_id, rule in self._part("rules").items()
            ]
        except (KeyError, TypeError, ValueError) as error:
            message = f"saves.json of the profile is damaged ({error}): set the rules again with `samovar saves rule`"
            raise LauncherError("SETTINGS_UNREADABLE", message, ExitCode.USAGE) from None

    def rule(self, product_id: UUID) -> SaveRule:
        """Raises: LauncherError: there is none."""
        found = next((rule for rule in self.rules() if rule.product_id == product_id), None)
        if found is None:
            message = f"nobody said where the saves lie: `samovar saves rule {product_id} --folder FOLDER`"
            raise LauncherError("SAVE_RULE_MISSING", message, ExitCode.USAGE)
        return found

    def set_rule(self, rule: SaveRule) -> None:
        value = {"folder": str(rule.folder), "patterns": list(rule.patterns), "slot": rule.slot}
        self._write("rules", {**self._part("rules"), str(rule.product_id): value})

    def base(self, rule: SaveRule) -> Base | None:
        """Return the base of the rule; None when it was never synced, or the note is lost."""
        try:
            found = self._part("bases")[self._key(rule)]
            return Base(str(found["savegame_id"]), int(found["version"]), str(found["sha256"]))
        except (KeyError, TypeError, ValueError):
            return None

    def set_base(self, rule: SaveRule, base: Base | None) -> None:
        bases = {name: value for name, value in self._part("bases").items() if name != self._key(rule)}
        self._write("bases", bases if base is None else {**bases, self._key(rule): asdict(base)})

    def key(self) -> SaveKey | None:
        """Return the key that saves are encrypted with; None when they are not encrypted."""
        return key_of(read_saves(self._environment))

    def set_key(self, key: SaveKey) -> None:
        write_saves(self._environment, {**read_saves(self._environment), "key": key.text()})

    def _key(self, rule: SaveRule) -> str:
        return f"{self._gateway_url} {rule.product_id} {rule.slot} {rule.folder}"

    def _part(self, name: str) -> Mapping[str, Any]:
        value = read_saves(self._environment).get(name)
        return value if isinstance(value, dict) else {}

    def _write(self, name: str, value: Mapping[str, Any]) -> None:
        write_saves(self._environment, {**read_saves(self._environment), name: value})
