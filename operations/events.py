"""`samovar events`: topics, lag and dead letters of the event bus that EVENTS_BACKEND names. Mounted by launcher.cli.main."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from typing import Annotated, TypeVar

import orjson
import typer
from rich.table import Table
from rich.text import Text

from chassis.bus.event_bus import DEAD_LETTER_SUFFIX, PARTITIONS, BusRecord, EventBus
from chassis.bus.kafka_topics import TopicPlan, TopicsNotMade, make_topics
from chassis.cloudevents.events import from_wire
from chassis.errors import DomainError, Kind
from chassis.runtime.backends import EventSettings
from chassis.settings import load_settings
from depot.console import PlainConsole
from depot.terminal import plain, say, say_json
from operations.registry import topics as platform_topics

NAME = "samovar-events"
LIST_LIMIT = 100
EXIT_FAILED = 1
NEVER_JOINED = "nobody ever read as this group; --topic says how much there is for it"

T = TypeVar("T")

app = typer.Typer(
    help="Topics, lag and dead letters of the event bus.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
letters = typer.Typer(help="Events that a consumer gave up on.", no_args_is_help=True)
app.add_typer(letters, name="dlq")

Topic = Annotated[str, typer.Option(help="Only the dead letters of this topic.")]
Reason = Annotated[str, typer.Option(help="Only those given up for this reason, such as EVENT_INVALID.")]
Group = Annotated[str, typer.Option(help="Only those given up by this consumer group.")]


@dataclass(frozen=True, slots=True)
class Choice:
    """The selection of dead letters. Empty: any."""

    topic: str = ""
    reason: str = ""
    group: str = ""

    def topics(self) -> Sequence[str]:
        """Return the dead letters' topics to read."""
        return [f"{name.removesuffix(DEAD_LETTER_SUFFIX)}{DEAD_LETTER_SUFFIX}" for name in self._names()]

    def has(self, letter: BusRecord) -> bool:
        wanted = {"dlq-reason": self.reason, "dlq-group": self.group}
        return all(not value or letter.headers.get(name) == value for name, value in wanted.items())

    def _names(self) -> Sequence[str]:
        return [self.topic] if self.topic else platform_topics()


@app.command("topics")
def make(
    partitions: Annotated[int, typer.Option(min=1, max=1000, help="Of each new topic.")] = PARTITIONS,
    replicas: Annotated[int, typer.Option(min=1, max=9, help="Of each new topic; 3 in production.")] = 1,
) -> None:
    """Make the topics that are missing. Run it before the services, and after an update that brings new events."""
    settings = load_settings(EventSettings)
    if settings.events_backend != "kafka":
        say(f"EVENTS_BACKEND is {settings.events_backend}: its topics need not be made")
        return
    names = [settings.kafka_prefix + topic for topic in platform_topics()]
    try:
        outcome = asyncio.run(make_topics(settings.kafka_brokers, names, TopicPlan(partitions, replicas)))
    except TopicsNotMade as error:
        say(f"samovar events topics: {error}", err=True)
        raise typer.Exit(EXIT_FAILED) from None
    for name, made in sorted(outcome.items()):
        say(f"{'made' if made else 'there'}  {name}")


@app.command("lag")
def lag(
    groups: Annotated[list[str], typer.Argument(help="Consumer groups, such as library-service.")],
    topic: Annotated[
        list[str] | None, typer.Option(help="Of this topic too, though the group may be new to it.")
    ] = None,
) -> None:
    """Say how many events each group has not dealt with yet, of all topics that it ever joined."""
    unknown = set(topic or ()) - set(platform_topics())
    if unknown:
        raise typer.BadParameter(f"{', '.join(sorted(unknown))}: no topic of the platform")

    async def measure(bus: EventBus) -> list[int | None]:
        return [await bus.lag(group, topic or ()) for group in groups]

    for group, records in zip(groups, _with_bus(measure), strict=True):
        say(f"{group}  {NEVER_JOINED if records is None else records}")


@letters.command("list")
def list_letters(
    topic: Topic = "",
    reason: Reason = "",
    group: Group = "",
    limit: Annotated[int, typer.Option(min=1, max=10_000, help="At most so many.")] = LIST_LIMIT,
) -> None:
    """List dead letters, the address of each first."""
    found = _with_bus(lambda bus: _collect(bus, Choice(topic, reason, group), limit))
    table = Table("address", "reason", "group", "event", "key", "description")
    for letter in found:
        said = letter.headers
        description = said.get("dlq-description", "")
        group_name, why = said.get("dlq-group", "?"), said.get("dlq-reason", "?")
        cells = (address_of(letter), why, group_name, _event_of(letter), letter.key, description)
        table.add_row(*(Text(plain(cell)) for cell in cells))  # as they are: Rich would take brackets for its own
    console = PlainConsole(soft_wrap=True)
    if found:
        console.print(table, markup=False)
    console.print(f"{len(found)} dead letters" + (" (and maybe more)" if len(found) == limit else ""))


@letters.command("show")
def show_letter(address: Annotated[str, typer.Argument(help="As `dlq list` shows it.")]) -> None:
    """Show one dead letter whole: its headers and the event as it came."""
    (letter,) = _with_bus(lambda bus: _at(bus, [address]))
    for name, value in sorted(letter.headers.items()):
        say(f"{name}: {value}")
    say(f"key: {letter.key}")
    say("")
    try:
        say_json(orjson.loads(letter.value), indent=2)
    except orjson.JSONDecodeError:
        say(repr(letter.value))


@letters.command("replay")
def replay(
    addresses: Annotated[list[str] | None, typer.Argument(help="As `dlq list` shows them.")] = None,
    topic: Topic = "",
    reason: Reason = "",
    group: Group = "",
    *,
    everything: Annotated[bool, typer.Option("--all", help="All that the options choose.")] = False,
) -> None:
    """Put dead letters back on the topic they came from, under their old ids, in order. Who has dealt with one passes it over; the
    letter itself stays where it is until it is too old.
    """
    if bool(addresses) == everything:
        raise typer.BadParameter("name dead letters by address, or take --all")

    async def send(bus: EventBus) -> bool:
        choice = Choice(topic, reason, group)
        found = await _at(bus, addresses) if addresses else await _collect(bus, choice, limit=None)
        return all([await _resend(bus, letter) for letter in found])

    if not _with_bus(send):
        raise typer.Exit(EXIT_FAILED)


async def _resend(bus: EventBus, letter: BusRecord) -> bool:
    """Puts one letter back, and says so. One that cannot be put back is in no other's way."""
    try:
        await bus.resend(letter)
    except (ValueError, DomainError) as error:
        if isinstance(error, DomainError) and error.kind is not Kind.INVALID_ARGUMENT:
            raise
        say(f"samovar events: {address_of(letter)} cannot be replayed: {error}", err=True)
        return False
    say(f"replayed {address_of(letter)} to {letter.headers.get('dlq-topic')}")
    return True


def address_of(letter: BusRecord) -> str:
    """Return the address of the letter, in a form that is easy to type."""
    return f"{letter.topic}:{letter.partition}:{letter.position}"


async def _collect(bus: EventBus, choice: Choice, limit: int | None) -> list[BusRecord]:
    found: list[BusRecord] = []
    for topic in choice.topics():
        async with aclosing(bus.scan(topic)) as scanned:
            async for letter in scanned:
                if len(found) == limit:
                    return found
                if choice.has(letter):
                    found.append(letter)
    return found


async def _at(bus: EventBus, addresses: Sequence[str]) -> list[BusRecord]:
    wanted = set(addresses)
    found: list[BusRecord] = []
    for topic in sorted({address.split(":")[0] for address in wanted}):
        if topic not in Choice().topics():
            raise LetterNotFound(topic)
        found += [letter for letter in await _collect(bus, Choice(topic), limit=None) if address_of(letter) in wanted]
    absent = wanted - {address_of(letter) for letter in found}
    if absent:
        raise LetterNotFound(", ".join(sorted(absent)))
    return found


class LetterNotFound(Exception):
    """No dead letter lies at the address."""


def _with_bus(work: Callable[[EventBus], Awaitable[T]]) -> T:
    settings = load_settings(EventSettings)

    async def run() -> T:
        async with settings.open_event_bus(NAME) as bus:
            return await work(bus)

    try:
        return asyncio.run(run())
    except DomainError as error:
        say(f"samovar events: the event bus is away ({error.reason})", err=True)
    except LetterNotFound as error:
        say(f"samovar events: no dead letter at {error}", err=True)
    raise typer.Exit(EXIT_FAILED)


def _event_of(letter: BusRecord) -> str:
    try:
        return from_wire(letter.value, topic=letter.topic).type
    except Exception:  # noqa: BLE001  the list must show every letter, and letters are what nobody could read
        return "unreadable"
