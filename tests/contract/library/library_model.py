"""A model of the library's rules for test_library_machine.py, which shares no code with the product.

Time is whole half-seconds since a noon. What the server may have forgotten with the live state is an interval, not a moment: of
each session the model knows between which two it was last heard.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field

TICKS_PER_SECOND = 2
SILENCE = 300 * TICKS_PER_SECOND
NOON = 12 * 3600 * TICKS_PER_SECOND
"""Of the first day."""
DAY = 86_400 * TICKS_PER_SECOND
WAYS = {"order": "purchase", "key": "key_activation", "gift": "gift", "free": "free_to_play"}


@dataclass
class Right:
    """A grant: since when, and whether it was taken back."""

    source: tuple[str, str]
    since: int
    is_over: bool = False


@dataclass(eq=False)  # two that began alike are two
class Play:
    """A session: `early` and `late` are the bounds of when it was last heard, `written` is what no loss takes away."""

    user: int
    product: int
    device: int | None
    start: int
    early: int
    late: int
    written: int
    status: str = "active"
    end: int | None = None
    sequence: int | None = None
    is_sequence_sure: bool = True
    notes: dict[int, int] = field(default_factory=dict)
    """What each instance of the service has heard and not written down."""

    def silent(self, now: int) -> bool | None:
        """Whether the client has been away for too long; None: the server may think either."""
        if now - self.late > SILENCE:
            return True
        return False if now - self.early <= SILENCE else None

    def hear(self, instance: int, now: int, sequence: int | None) -> None:
        """A heartbeat that was taken."""
        if not self.is_sequence_sure and None not in (sequence, self.sequence) and sequence <= self.sequence:
            self.late = now
            return
        if self.is_sequence_sure and None not in (sequence, self.sequence) and sequence <= self.sequence:
            return
        self.early = self.late = self.notes[instance] = now
        if sequence is not None:
            self.sequence, self.is_sequence_sure = sequence, True

    def write(self, instance: int) -> None:
        """The instance writes down what it heard."""
        if instance in self.notes:
            self.written = max(self.written, self.notes.pop(instance))
            self.early = max(self.early, self.written)

    def lose(self) -> None:
        """The live state is gone."""
        self.early, self.is_sequence_sure = self.written, False


@dataclass
class Shelf:
    """What one user has of one product."""

    rights: list[Right] = field(default_factory=list)
    is_wished: bool = False
    added: int | None = None
    """Since when the item is there; None: it is not."""
    steps: dict[int, int] = field(default_factory=dict)
    unlocked: dict[int, int] = field(default_factory=dict)

    @property
    def base(self) -> Right | None:
        """What the item rests on."""
        standing = [right for right in self.rights if not right.is_over]
        return min(standing, key=lambda right: (right.since, right.source)) if standing else None

    def right(self, source: tuple[str, str]) -> Right | None:
        return next((right for right in self.rights if right.source == source), None)


@dataclass
class Model:
    """Everything that happened."""

    totals: tuple[int, ...]
    """Steps of each achievement, the same for every product."""
    now: int = 0
    shelves: dict[tuple[int, int], Shelf] = field(default_factory=dict)
    plays: list[Play] = field(default_factory=list)
    told: dict[int, dict[str, int]] = field(default_factory=dict)
    """How often the platform was told of what, by user."""
    rejected: dict[int, int] = field(default_factory=dict)

    def shelf(self, user: int, product: int) -> Shelf:
        return self.shelves.setdefault((user, product), Shelf())

    def tell(self, user: int, event: str) -> None:
        counts = self.told.setdefault(user, {})
        counts[event] = counts.get(event, 0) + 1

    def grant(self, user: int, product: int, source: tuple[str, str]) -> tuple[bool, bool]:
        """Returns whether the grant was known, and stood."""
        shelf = self.shelf(user, product)
        if known := shelf.right(source):
            return True, not known.is_over
        shelf.rights.append(Right(source, self.now))
        if shelf.added is None:
            assert shelf.base is not None
            shelf.added = shelf.base.since
            self.tell(user, "game.added.v1")
        if shelf.is_wished:
            shelf.is_wished = False
            self.tell(user, "wishlist.item.removed.v1")
        return False, False

    def revoke(self, user: int, product: int, source: tuple[str, str]) -> tuple[bool, bool, list[Play]]:
        """Returns whether the grant was known, and stood, and the sessions that end with it."""
        shelf = self.shelf(user, product)
        known = shelf.right(source)
        stood = known is not None and not known.is_over
        if known is None:
            shelf.rights.append(Right(source, self.now, is_over=True))
        else:
            known.is_over = True
        cut_off: list[Play] = []
        if shelf.base is None and shelf.added is not None:
            shelf.added = None
            self.tell(user, "game.removed.v1")
            cut_off = list(self.live(user, product))
        return known is not None, stood, cut_off

    def live(self, user: int, product: int) -> Iterator[Play]:
        return (play for play in self.plays if play.end is None and (play.user, play.product) == (user, product))

    def finish(self, play: Play, status: str, end: int) -> None:
        play.status, play.end = status, end
        self.tell(play.user, "playtime.session.ended.v1")

    def advance(self, user: int, product: int, achievement: int, step: int, *, is_increment: bool) -> str:
        """Returns what comes of it: `rejected`, `already`, or `ok`."""
        shelf = self.shelf(user, product)
        has_played = any((play.user, play.product) == (user, product) for play in self.plays)
        if shelf.base is None or not has_played:
            self.rejected[user] = self.rejected.get(user, 0) + 1
            return "rejected"
        if achievement in shelf.unlocked:
            return "already"
        before, total = shelf.steps.get(achievement, 0), self.totals[achievement]
        after = min(max(before, before + step if is_increment else step), total)
        shelf.steps[achievement] = after
        if after == total:
            shelf.unlocked[achievement] = self.now
            self.tell(user, "achievement.unlocked.v1")
        return "ok"

    def played(self, user: int, product: int) -> set[int]:
        """Every half-second that counts, once."""
        ticks: set[int] = set()
        for play in self.plays:
            if play.end is not None and (play.user, play.product) == (user, product):
                ticks.update(range(play.start, play.end))
        return ticks

    def last_played(self, user: int, product: int) -> int | None:
        ends = [p.end for p in self.plays if p.end is not None and (p.user, p.product) == (user, product)]
        return max(ends, default=None)

    def players(self, product: int) -> int:
        return len({play.user for play in self.plays if play.product == product})
