"""A Rich console for text from outside: tables, bars and lines come out as depot.terminal shows text. Apart from that module,
because Rich takes longer to import than `--help` may.
"""

from collections.abc import Iterable
from typing import Any

from rich.console import Console, ConsoleOptions, RenderableType
from rich.segment import Segment

from depot.terminal import plain_lines


class PlainConsole(Console):
    """Its own control sequences (colours, bars) go out; those of what it shows do not."""

    def render(self, renderable: RenderableType, options: ConsoleOptions | None = None) -> Iterable[Segment]:
        """Segments of text as `plain_lines` shows them; Rich's own controls as they are."""
        for segment in super().render(renderable, options):
            text, style, control = segment
            yield segment if control else Segment(plain_lines(text), style)


def open_console(**options: Any) -> PlainConsole:
    """Create a Console for lines that are not wrapped or coloured by their content; takes its constructor's options."""
    return PlainConsole(soft_wrap=True, highlight=False, **options)
