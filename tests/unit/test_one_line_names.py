"""Titles and names of the contract are lines of text: the protos refuse what a terminal or a bidirectional reader would obey."""

import pytest
from catalog.v1 import events_pb2, product_pb2
from google.protobuf.message import Message
from library.v1 import categories_pb2
from samovar.sandbox.v1 import sandbox_pb2

from chassis.errors import DomainError
from chassis.grpc_server.validation import validate

OBEYED = ["\0", "\n", "\t", "\x1b]0;title\a", "\x7f", "\x9b31m", "\u202e", "\u202a", "\u2066", "\u2069"]
ORDINARY = ["S.T.A.L.K.E.R. 2", "Ёлка — 100 %", "東方紅魔郷", "עברית", "العربية", "café\u0301", "🎮", ""]


def _with(name: str) -> list[Message]:
    titles = product_pb2.LocalizedText(ru=name, en="Game")
    uuid = "0b6f9d3c-26c4-4b6a-8a53-5c9f4c7f4a10"
    return [
        product_pb2.Product(product_id=uuid, titles=titles),
        product_pb2.LocalizedText(ru="Игра", en=name),
        events_pb2.ProductUpdated(product_id=uuid, new_title=name),
        events_pb2.ProductUpdated(product_id=uuid, titles=titles),
        categories_pb2.CreateCategoryRequest(name=f"a{name}"),
        categories_pb2.CategoryChanges(name=f"{name}a"),
        sandbox_pb2.AnnounceVersionRequest(product_id=uuid, version_id=uuid, version_name=f"1{name}"),
    ]


@pytest.mark.parametrize("text", OBEYED)
def test_a_name_that_a_terminal_would_obey_is_refused(text: str) -> None:
    for message in _with(text):
        with pytest.raises(DomainError, match="VALIDATION_ERROR"):
            validate(message)


@pytest.mark.parametrize("text", ORDINARY)
def test_names_of_every_script_are_names(text: str) -> None:
    for message in _with(text):
        validate(message)
