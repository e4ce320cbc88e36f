"""The work of validation is bounded whatever a message holds. Against protovalidate itself where that can be asked, and against
messages that only an attacker sends where it must not be.
"""

import time
from collections.abc import Callable
from functools import partial
from typing import Any

import protovalidate
import pytest
from buf.validate import validate_pb2
from download.v1 import downloads_pb2, verifications_pb2
from google.protobuf import descriptor_pb2, descriptor_pool, message_factory
from google.protobuf.message import Message
from hypothesis import given
from hypothesis import strategies as st

from chassis.errors import FieldViolation
from chassis.grpc_server.validation import MAX_ELEMENTS, MAX_VIOLATIONS, _read, violations_of

ID = "0190b7a6-5f3c-7c1e-9d2a-4b8f6e1c2d3a"
MAX_MANY, MAX_PAIRS, MAX_NUMBERED = 4, 3, 2
COUNTS = {"repeated.max_items", "map.max_pairs"}


def _tree() -> type[Message]:
    """`Tree`, with lists and maps of itself and of words of at least two letters."""
    file = descriptor_pb2.FileDescriptorProto(
        name="bounds_of_validation.proto", package="bounds", syntax="proto3", dependency=["buf/validate/validate.proto"]
    )
    tree = file.message_type.add(name="Tree")
    repeated, single = (
        descriptor_pb2.FieldDescriptorProto.LABEL_REPEATED,
        descriptor_pb2.FieldDescriptorProto.LABEL_OPTIONAL,
    )
    text, whole, message = (
        getattr(descriptor_pb2.FieldDescriptorProto, f"TYPE_{name}") for name in ("STRING", "INT32", "MESSAGE")
    )
    add = tree.field.add
    words = add(name="words", number=1, type=text, label=repeated)
    many = add(name="many", number=2, type=message, label=repeated, type_name=".bounds.Tree")
    by_name = add(name="by_name", number=3, type=message, label=repeated, type_name=".bounds.Tree.ByNameEntry")
    numbered = add(name="numbered", number=4, type=message, label=repeated, type_name=".bounds.Tree.NumberedEntry")
    add(name="one", number=5, type=message, label=single, type_name=".bounds.Tree")
    for name, key_type, value_type in (("ByNameEntry", text, message), ("NumberedEntry", whole, text)):
        entry = tree.nested_type.add(name=name, options=descriptor_pb2.MessageOptions(map_entry=True))
        entry.field.add(name="key", number=1, type=key_type, label=single)
        value = entry.field.add(name="value", number=2, type=value_type, label=single)
        if value_type == message:
            value.type_name = ".bounds.Tree"
    field: Any = validate_pb2.field
    words.options.Extensions[field].repeated.items.string.min_len = 2
    many.options.Extensions[field].repeated.max_items = MAX_MANY
    by_name.options.Extensions[field].map.max_pairs = MAX_PAIRS
    numbered.options.Extensions[field].map.max_pairs = MAX_NUMBERED
    numbered.options.Extensions[field].map.values.string.min_len = 2
    pool = descriptor_pool.Default()
    pool.Add(file)
    return message_factory.GetMessageClass(pool.FindMessageTypeByName("bounds.Tree"))


TREE = _tree()
NATIVE = protovalidate.Validator()


def _tree_of(parts: Any) -> Any:
    words, many, by_name, numbered, one = parts
    made: Any = TREE(words=words, many=many, numbered=numbered)
    for name, tree in by_name.items():
        made.by_name[name].CopyFrom(tree)
    if one is not None:
        made.one.CopyFrom(one)
    return made


TREES: st.SearchStrategy[Any] = st.recursive(
    st.builds(lambda words: TREE(words=words), st.lists(st.sampled_from(("", "a", "ab")), max_size=3)),
    lambda trees: st.tuples(
        st.lists(st.sampled_from(("", "ab")), max_size=3),
        st.lists(trees, max_size=MAX_MANY + 1),
        st.dictionaries(st.sampled_from(('"', "a", "b", "c", "d")), trees, max_size=MAX_PAIRS + 1),
        st.dictionaries(st.integers(-2, 2), st.sampled_from(("", "ab")), max_size=MAX_NUMBERED + 1),
        st.none() | trees,
    ).map(_tree_of),
    max_leaves=8,
)


@given(TREES)
def test_what_is_found_is_what_protovalidate_finds_counts_before_anything_else(tree: Any) -> None:
    everything = [_read(violation) for violation in NATIVE.collect_violations(tree)]
    counts = [one for one in everything if one.rule in COUNTS]
    found = violations_of(tree)
    if not counts:
        assert sorted(found, key=str) == sorted(everything, key=str)
    else:
        # What is within more items than allowed is not looked at.
        assert found
        assert set(found) <= set(counts)


@pytest.mark.parametrize(
    ("message", "violation"),
    [
        (
            downloads_pb2.CreateDownloadLinksRequest(ids=[""] * 100_000),
            FieldViolation("ids", "must contain no more than 1000 item(s)", "repeated.max_items"),
        ),
        (
            TREE(numbered=dict.fromkeys(range(50000), "")),
            FieldViolation("numbered", f"map must be at most {MAX_NUMBERED} entries", "map.max_pairs"),
        ),
    ],
    ids=["items", "entries"],
)
def test_too_many_are_counted_and_not_read(message: Message, violation: FieldViolation) -> None:
    assert violations_of(message) == (violation,)


def _hashes(files: int, chunks: int) -> Message:
    file = verifications_pb2.LocalFile(path="a", chunk_sha256s=[""] * chunks)
    return verifications_pb2.SubmitHashesRequest(verification_id=ID, files=[file] * files)


def test_no_more_violations_than_can_be_read() -> None:
    assert len(violations_of(_hashes(1, MAX_VIOLATIONS + 1))) == MAX_VIOLATIONS
    assert len(violations_of(_hashes(1, MAX_ELEMENTS - 1))) == MAX_VIOLATIONS
    assert len(violations_of(_hashes(2, MAX_ELEMENTS))) == 1
    assert len(violations_of(TREE(words=[""] * (MAX_ELEMENTS + 1)))) == 1


def _seconds(call: Callable[[], object]) -> float:
    took = []
    for _ in range(3):
        started = time.process_time()
        call()
        took.append(time.process_time() - started)
    return min(took)


@pytest.mark.parametrize(
    "of_size",
    [
        lambda size: downloads_pb2.CreateDownloadLinksRequest(download_id=ID, ids=[""] * size),
        lambda size: _hashes(size // 1000, 1000),
        lambda size: TREE(words=[""] * size),
        lambda size: TREE(one=TREE(numbered=dict.fromkeys(range(size), ""))),
    ],
    ids=["a list", "lists in a list", "a list without a bound", "a map"],
)
def test_a_hundred_times_as_many_wrong_items_cost_no_more(of_size: Callable[[int], Message]) -> None:
    little, much = (partial(violations_of, of_size(size)) for size in (1_500, 150_000))
    # In proportion it would be a hundred times as much: seconds, and hundreds of megabytes.
    assert _seconds(much) < 8 * _seconds(little) + 0.01
