"""`samovar library`, `categories`, `play`, `achievements`, `wishlist`, `settings` as a person types them, on the whole platform.

The commands run in the test's own process, because a new one for each word would take longer than all that they do.
"""

import asyncio
import json
import os
import re
import signal
import subprocess
import time
import uuid
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from catalog.v1 import product_pb2
from samovar.sandbox.v1 import sandbox_pb2
from typer.testing import CliRunner

from launcher.cli.main import app
from sandbox.client import sandbox_stub
from tests.e2e.clients import WAIT_SECONDS, Shop
from tests.e2e.running import SAMOVAR, Platform

DENIED, USAGE, CONFLICT, SAVE_CONFLICT = 4, 2, 10, 11


@dataclass(frozen=True)
class Person:
    """Somebody with a terminal of their own, and the shop that they buy in."""

    id: str
    environment: dict[str, str]
    shop: Shop

    def type(self, *words: str, code: int = 0, stdin: str | None = None) -> tuple[str, str]:
        """Standard output and standard error of a command that ends with this code."""
        result = CliRunner(env=self.environment).invoke(app, list(words), input=stdin)
        assert result.exit_code == code, f"{words}: {result.exit_code}\n{result.output}\n{result.exception!r}"
        return result.stdout, result.stderr

    def ask(self, *words: str) -> Any:
        return json.loads(self.type(*words, "--json")[0])

    def refused(self, code: int, *words: str) -> str:
        """The platform's code of the refusal, which people are told in a line and scripts in JSON."""
        out, err = self.type(*words, "--json", code=code)
        told = json.loads(out)
        assert (told["status"], told["exit_code"]) == ("error", code)
        assert err.startswith("samovar: ")
        return str(told["error"]["code"])

    def owns(self, *titles: str, achievements: Sequence[product_pb2.Achievement] = ()) -> list[str]:
        """Has the person buy new products of these titles; waits until all are in the library."""
        products = [asyncio.run(self.shop.new_product(title, achievements)) for title in titles]
        for product_id in products:
            asyncio.run(self.shop.buy(self.id, product_id))
        wait_until(
            lambda: set(products) <= {one["product_id"] for one in self.ask("library", "--hidden") if one["title"]}
        )
        return products


def wait_until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + WAIT_SECONDS
    while not condition():
        assert time.monotonic() < deadline, "it never came to be"
        time.sleep(0.05)


@pytest.fixture
def anna(platform: Platform, tmp_path: Path) -> Person:
    """A user of the test's own."""
    user_id = str(uuid.uuid4())

    async def token() -> str:
        async with sandbox_stub(platform.private) as stub:
            request = sandbox_pb2.IssueTokenRequest(user_id=user_id, roles=["user"])
            return str((await stub.IssueToken(request)).token)

    environment = {
        "SAMOVAR_HOME": str(platform.home),
        "SAMOVAR_CONFIG_HOME": str(tmp_path / "config"),
        "SAMOVAR_GATEWAY": platform.ready["gateway_url"],
        "SAMOVAR_TOKEN": asyncio.run(token()),
        "LC_ALL": "en_US.UTF-8",
    }
    return Person(user_id, environment, Shop(platform.private))


def achievement(name: str, *, total: int = 1, is_hidden: bool = False) -> product_pb2.Achievement:
    return product_pb2.Achievement(
        achievement_meta_id=str(uuid.uuid4()),
        names=product_pb2.LocalizedText(ru=name, en=name),
        total_progress_needed=total,
        is_hidden=is_hidden,
    )


def test_the_library_is_searched_sorted_marked_rated_and_hidden(anna: Person) -> None:
    assert anna.type("library")[0].strip() == "the library is empty"
    tea, coffee = anna.owns("Tea [red]", "Coffee")
    table = anna.type("library", "--sort", "name_asc")[0]
    assert table.index("Coffee") < table.index("Tea [red]"), "a title's brackets are its own"

    changed = anna.ask("library", "set", "tea", "--favorite", "--rating", "4", "--notes", "с лимоном")
    assert (changed["is_favorite"], changed["user_rating"], changed["notes"]) == (True, 4, "с лимоном")
    assert [one["product_id"] for one in anna.ask("library", "--favorite")] == [tea]
    assert [one["product_id"] for one in anna.ask("library", "--no-favorite")] == [coffee]
    assert [one["product_id"] for one in anna.ask("library", "list", "--search", "coff")] == [coffee]
    assert anna.ask("library", "--status", "installed") == []
    assert "★ Tea" in anna.type("library")[0]
    assert anna.type("library", "--status", "installed")[0].strip() == "nothing in the library fits"

    anna.type("library", "set", coffee, "--hide")
    assert [one["product_id"] for one in anna.ask("library")] == [tea]
    assert {one["product_id"] for one in anna.ask("library", "--hidden")} == {tea, coffee}
    cleared = anna.ask("library", "set", "Tea [red]", "--no-favorite", "--rating", "0", "--notes", "")
    assert (cleared["is_favorite"], cleared["user_rating"], cleared["notes"]) == (False, None, None)
    assert anna.refused(DENIED, "library", "set", "Water", "--hide") == "LIBRARY_ITEM_NOT_FOUND"
    assert anna.refused(USAGE, "library", "set", "Tea [red]") == "INVALID_ARGUMENT"


def test_categories_are_made_ordered_filled_and_removed(anna: Person) -> None:
    (tea,) = anna.owns("Tea")
    assert "there are no categories" in anna.type("categories")[0]
    hot = anna.ask("categories", "create", "Hot")
    for name in ("Cold", "Sweet"):
        assert f"created {name}" in anna.type("categories", "create", name)[0]
    assert [one["name"] for one in anna.ask("categories")] == ["Hot", "Cold", "Sweet"]
    assert [one["name"] for one in anna.ask("categories", "reorder", "sweet", hot["id"])] == ["Sweet", "Hot", "Cold"]
    assert anna.refused(DENIED, "categories", "create", "Hot") == "CATEGORY_ALREADY_EXISTS"
    assert anna.ask("categories", "rename", "Cold", "Iced")["name"] == "Iced"

    assert "is in Sweet, Hot" in anna.type("categories", "assign", "tea", "Hot", "Sweet")[0]
    assert [one["product_id"] for one in anna.ask("library", "--category", "Hot")] == [tea]
    assert "Sweet, Hot" in anna.type("library")[0]
    assert "is in Iced" in anna.type("categories", "assign", tea, "Iced", "--only")[0]
    assert anna.ask("library", "--category", "Hot") == []
    assert "is in no category" in anna.type("categories", "assign", "tea", "Iced", "--remove")[0]

    assert "stay in the library" in anna.type("categories", "delete", "hot")[0]
    assert [one["name"] for one in anna.ask("categories", "list")] == ["Sweet", "Iced"]
    assert anna.refused(DENIED, "categories", "delete", "hot") == "CATEGORY_NOT_FOUND"
    assert anna.refused(USAGE, "categories", "assign", "tea", "Iced", "--only", "--remove") == "INVALID_ARGUMENT"


def test_a_game_is_played_for_a_while_and_the_time_counts(anna: Person) -> None:
    anna.owns("Chess")
    out, err = anna.type("play", "chess", "--for", "1.1")
    said = re.fullmatch(r"played Chess: completed, (\d+) s counted \((\d+) heartbeats\), (\d+) s in all\s*", out)
    assert said is not None, out
    counted, heartbeats, in_all = map(int, said.groups())
    assert 1 <= counted == in_all
    assert heartbeats == 0 or counted > 1, "a busy machine may take longer, never less"
    assert "Ctrl-C ends it" in err
    again = anna.ask("play", "Chess", "--for", "0")
    assert (again["status"], again["sessions"], again["heartbeats"]) == ("completed", 1, 0)
    assert again["total_seconds"] >= again["seconds"] + 1
    (item,) = anna.ask("library")
    assert item["total_playtime_seconds"] == again["total_seconds"]
    assert item["last_played_at"]
    assert anna.refused(DENIED, "play", str(uuid.uuid4())) == "PRODUCT_ACCESS_DENIED"


def test_ctrl_c_ends_the_game_and_is_no_failure(anna: Person) -> None:
    anna.owns("Chess")
    game = subprocess.Popen(
        [SAMOVAR, "play", "chess", "--json"],
        env={**os.environ, **anna.environment},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    with game:
        assert game.stderr is not None
        assert "Ctrl-C ends it" in game.stderr.readline()
        game.send_signal(signal.SIGINT)
        out, err = game.communicate(timeout=WAIT_SECONDS)
    assert (game.returncode, err) == (0, "")
    assert json.loads(out)["status"] == "completed"


def test_achievements_are_shown_got_on_with_and_unlocked_and_secrets_are_kept(anna: Person) -> None:
    long, secret = achievement("Champion", total=5), achievement("Stalemate", is_hidden=True)
    (chess,) = anna.owns("Chess", achievements=[long, secret])
    assert anna.refused(DENIED, "achievements", "unlock", "chess", "champ") == "ACHIEVEMENT_PROGRESS_REJECTED"
    anna.type("play", "chess", "--for", "0")

    table = anna.type("achievements", "chess")[0]
    assert "Champion" in table
    assert "0 of 5" in table
    assert "Stalemate" not in table
    assert f"{secret.achievement_meta_id}" in table
    assert table.splitlines()[-1] == "0 of 2 unlocked"
    assert anna.ask("achievements", "progress", "chess", "champion", "--by", "2")["current"] == 2
    assert "Champion: 4 of 5" in anna.type("achievements", "progress", chess, "champion", "--to", "4")[0]
    assert "unlocked Champion" in anna.type("achievements", "progress", "chess", "champion", "--by", "9")[0]
    assert anna.refused(DENIED, "achievements", "unlock", "chess", "champion") == "ACHIEVEMENT_ALREADY_UNLOCKED"
    assert anna.refused(DENIED, "achievements", "unlock", "chess", "stalemate") == "ACHIEVEMENT_NOT_FOUND"
    assert "unlocked Stalemate" in anna.type("achievements", "unlock", "chess", secret.achievement_meta_id)[0]
    latest = anna.ask("achievements", "list", "chess", "--sort", "unlocked_at_desc")
    assert [one["name"] for one in latest] == ["Stalemate", "Champion"]
    assert anna.refused(USAGE, "achievements", "progress", "chess", "champion") == "INVALID_ARGUMENT"
    assert anna.refused(DENIED, "achievements", str(uuid.uuid4())) == "PRODUCT_NOT_FOUND"


def test_the_wishlist_is_filled_ordered_noted_and_emptied_by_a_purchase(anna: Person) -> None:
    tea, coffee, water = (asyncio.run(anna.shop.new_product(title)) for title in ("Tea", "Coffee", "Water"))
    assert "the wishlist is empty" in anna.type("wishlist")[0]
    assert anna.ask("wishlist", "add", tea, "--notes", "green")["notes"] == "green"
    for product_id in (coffee, water):
        assert "to the wishlist" in anna.type("wishlist", "add", product_id)[0]
    ordered = anna.ask("wishlist", "order", "coffee", tea)
    assert [(one["title"], one["priority"]) for one in ordered] == [("Coffee", 3), ("Tea", 2), ("Water", 1)]
    assert anna.ask("wishlist", "note", "tea", "")["notes"] is None
    assert "noted Water" in anna.type("wishlist", "note", water, "still")[0]
    assert "still" in anna.type("wishlist", "list")[0]
    assert anna.refused(DENIED, "wishlist", "add", tea) == "WISHLIST_ITEM_ALREADY_EXISTS"
    assert anna.refused(DENIED, "wishlist", "add", str(uuid.uuid4())) == "PRODUCT_NOT_FOUND"

    asyncio.run(anna.shop.buy(anna.id, coffee))
    wait_until(lambda: [one["title"] for one in anna.ask("wishlist")] == ["Tea", "Water"])
    assert "removed Tea" in anna.type("wishlist", "remove", "tea")[0]
    assert anna.refused(DENIED, "wishlist", "remove", "tea") == "GAME_NOT_FOUND_IN_WISHLIST"


def test_settings_are_put_read_patched_and_a_conflict_says_what_to_do(anna: Person, tmp_path: Path) -> None:
    anna.owns("Chess")
    assert anna.refused(DENIED, "settings", "get", "chess") == "GAME_SETTINGS_NOT_FOUND"
    file = tmp_path / "settings.json"
    file.write_text(json.dumps({"board": {"wood": True}, "имя": "Анна"}), encoding="utf-8")
    assert "kept as version 1" in anna.type("settings", "put", "chess", str(file))[0]
    out, err = anna.type("settings", "get", "chess")
    assert json.loads(out) == {"board": {"wood": True}, "имя": "Анна"}
    assert err.startswith("version 1, changed 20")

    patched = anna.ask("settings", "patch", "chess", '{"board": {"wood": null, "size": 8}}')
    assert (patched["version"], patched["etag"]) == (2, '"2"')
    assert patched["settings_payload"] == {"board": {"size": 8}, "имя": "Анна"}
    unnamed = anna.type("settings", "put", "chess", "{}", code=CONFLICT)[1]
    assert "PRECONDITION_REQUIRED" in unnamed
    stale = anna.type("settings", "put", "chess", "{}", "--if-match", "1", code=CONFLICT)[1]
    assert "SETTINGS_VERSION_CONFLICT" in stale
    for told in (unnamed, stale):
        assert "version 2 of 20" in told
        assert "--if-match 2" in told
    assert anna.refused(CONFLICT, "settings", "patch", "chess", "{}", "--if-match", "1") == "SETTINGS_VERSION_CONFLICT"
    assert "kept as version 3" in anna.type("settings", "put", "chess", "-", "--if-match", "2", stdin="{}")[0]
    assert anna.ask("settings", "put", "chess", '{"a": 1}', "--if-match", "*")["settings_payload"] == {"a": 1}
    for wrong in ("[]", '{"a": ', str(tmp_path / "nothing")):
        assert anna.refused(USAGE, "settings", "put", "chess", wrong) == "INVALID_ARGUMENT"


def test_saves_go_between_two_devices_and_a_conflict_keeps_both(anna: Person, tmp_path: Path) -> None:
    """Plays on A, goes on at B, makes a conflict, keeps both, restores."""
    (product,) = anna.owns("Сохранения")
    other = Person(anna.id, {**anna.environment, "SAMOVAR_CONFIG_HOME": str(tmp_path / "b")}, anna.shop)
    a, b = tmp_path / "saves-a", tmp_path / "saves-b"
    for person, folder in ((anna, a), (other, b)):
        folder.mkdir()
        person.ask("saves", "rule", product, "--folder", str(folder), "--pattern", "*.sav")
    (a / "1.sav").write_text("level 1")
    err = anna.type("play", product, "--for", "0", "--json")[1]
    assert "saves: push" in err
    assert other.ask("saves", "sync", product)["action"] == "pull"
    assert (b / "1.sav").read_text() == "level 1"
    (b / "1.sav").write_text("level 2")
    (a / "1.sav").write_text("level 2, but otherwise")
    assert other.ask("saves", "sync", product)["action"] == "push"
    out, err = anna.type("saves", "sync", product, "--json", code=SAVE_CONFLICT)
    assert json.loads(out)["error"]["code"] == "SAVE_CONFLICT"
    assert "here: " in err
    assert "in cloud: " in err
    kept = anna.ask("saves", "sync", product, "--prefer", "both")
    assert (kept["action"], (a / "1.sav").read_text()) == ("kept_both", "level 2")
    assert (Path(kept["kept"]) / "1.sav").read_text() == "level 2, but otherwise"
    assert len(anna.ask("saves")) == 2
    restored = anna.ask("saves", "restore", product, "1")
    assert (a / "1.sav").read_text() == "level 1"
    assert anna.ask("saves", "versions", product)[0]["version"] == restored["version"]
    assert anna.ask("saves", "lock", product, "1")["is_locked"]
    assert not anna.ask("saves", "unlock", product, "1")["is_locked"]
    quota = anna.ask("saves", "check-quota")
    assert quota["used_bytes"] > 0 == quota["reserved_bytes"]
    assert anna.refused(DENIED, "saves", "resolve", product, "--keep", "cloud") == "INVALID_STATE_TRANSITION"
