"""The mappers: nothing is lost or made up between rows, entities and messages."""

from dataclasses import replace
from datetime import UTC, datetime
from uuid import UUID, uuid4

import pytest
from google.protobuf.field_mask_pb2 import FieldMask
from google.protobuf.timestamp_pb2 import Timestamp
from hypothesis import given
from hypothesis import strategies as st
from library.v1 import items_pb2 as pb

from chassis.cloudevents.moments import EARLIEST, LATEST
from chassis.errors import DomainError, Kind
from library_svc.catalog.domain import Language, Product
from library_svc.catalog.postgres import product_of, product_row
from library_svc.categories.domain import Category
from library_svc.categories.postgres import category_of, category_row
from library_svc.changes import UNCHANGED
from library_svc.entitlements.domain import Grant, Source, SourceKind
from library_svc.entitlements.postgres import grant_of, grant_row
from library_svc.ids import UserId
from library_svc.installations.domain import Download, DownloadStatus, Installation, Verification
from library_svc.installations.postgres import (
    download_of,
    download_row,
    installation_of,
    installation_row,
    verification_of,
    verification_row,
)
from library_svc.items import messages
from library_svc.items.application import ItemPage, ItemQuery, ItemSort, ItemView
from library_svc.items.domain import AcquisitionType, InstallationStatus, Item, ItemChanges
from library_svc.items.postgres import item_of, item_row

USER = UserId(uuid4())
times = st.datetimes(EARLIEST.replace(tzinfo=None), LATEST.replace(tzinfo=None), timezones=st.just(UTC))
texts = st.text(st.characters(codec="utf-8", exclude_characters="\0"), min_size=1, max_size=20)
items = st.builds(
    Item,
    id=st.uuids(),
    user_id=st.uuids(),
    product_id=st.uuids(),
    added_at=times,
    acquisition_type=st.sampled_from(AcquisitionType),
    shared_from_user_id=st.none() | st.uuids(),
    installation_status=st.sampled_from(InstallationStatus),
    installed_version_id=st.none() | st.uuids(),
    last_played_at=st.none() | times,
    total_playtime_seconds=st.integers(0, 2**63 - 1),
    is_hidden=st.booleans(),
    is_favorite=st.booleans(),
    user_rating=st.none() | st.integers(1, 5),
    notes=st.none() | texts,
)
products = st.builds(
    Product,
    product_id=st.uuids(),
    as_of=times,
    is_complete=st.booleans(),
    title_ru=st.none() | texts,
    title_en=st.none() | texts,
    cover_image_url=st.none() | texts,
    product_type=st.none() | texts,
)
categories = st.builds(Category, id=st.uuids(), user_id=st.uuids(), name=texts, display_order=st.integers(0, 10**6))
grants = st.builds(
    Grant,
    user_id=st.uuids(),
    product_id=st.uuids(),
    source=st.builds(Source, st.sampled_from(SourceKind), texts),
    granted_at=times,
    revoked_at=st.none() | times,
)
downloads = st.builds(Download, st.uuids(), st.uuids(), st.sampled_from(DownloadStatus), times)
installations = st.builds(Installation, st.uuids(), st.uuids(), st.booleans(), times)
verifications = st.builds(Verification, st.uuids(), st.uuids(), st.booleans(), times)


class TestRows:
    @given(items)
    def test_an_item_comes_back_from_its_row(self, item: Item):
        assert item_of(item_row(item)) == item

    @given(categories)
    def test_a_category_comes_back_from_its_row(self, category: Category):
        assert category_of(category_row(category)) == category

    @given(grants)
    def test_a_grant_comes_back_from_its_row(self, grant: Grant):
        assert grant_of(grant_row(grant)) == grant

    @given(downloads)
    def test_a_download_comes_back_from_its_row(self, download: Download):
        assert download_of(download_row(USER, USER, download)) == download

    @given(verifications)
    def test_a_verification_comes_back_from_its_row(self, verification: Verification):
        assert verification_of(verification_row(USER, USER, verification)) == verification

    @given(installations)
    def test_an_installation_comes_back_from_its_row(self, installation: Installation):
        assert installation_of(installation_row(USER, USER, installation)) == installation

    @given(products)
    def test_a_product_comes_back_from_its_row(self, product: Product):
        assert product_of(product_row(product)) == product

    @given(products)
    def test_a_title_has_a_folded_form_exactly_when_it_is_known(self, product: Product):
        row = product_row(product)

        assert (row["folded_ru"] is None) == (product.title_ru is None)
        assert (row["folded_en"] is None) == (product.title_en is None)

    def test_a_row_without_a_product_has_none(self):
        assert product_of({"as_of": None}) is None


def _optional(message: pb.LibraryItem, name: str) -> object:
    return getattr(message, name) if message.HasField(name) else None


def _uuid(text: object) -> UUID | None:
    return UUID(str(text)) if text is not None else None


def _time(timestamp: Timestamp) -> datetime:
    return timestamp.ToDatetime(tzinfo=UTC)


def item_of_message(message: pb.LibraryItem, user_id: UserId) -> Item:
    """The inverse of `item_message`, for the round trip."""
    status = pb.InstallationStatus.Name(message.installation_status).removeprefix("INSTALLATION_STATUS_")
    acquisition = pb.AcquisitionType.Name(message.acquisition_type).removeprefix("ACQUISITION_TYPE_")
    return Item(
        id=UUID(message.id),
        user_id=user_id,
        product_id=UUID(message.product_id),
        added_at=_time(message.added_at),
        acquisition_type=AcquisitionType[acquisition],
        shared_from_user_id=_uuid(_optional(message, "shared_from_user_id")),
        installation_status=InstallationStatus[status],
        installed_version_id=_uuid(_optional(message, "installed_version_id")),
        last_played_at=_time(message.last_played_at) if message.HasField("last_played_at") else None,
        total_playtime_seconds=message.total_playtime_seconds,
        is_hidden=message.is_hidden,
        is_favorite=message.is_favorite,
        user_rating=_optional(message, "user_rating"),
        notes=_optional(message, "notes"),
    )


class TestItemMessages:
    @given(items, products, st.sampled_from(Language))
    def test_an_item_comes_back_from_its_message(self, item: Item, product: Product, language: Language):
        sent = messages.item_message(ItemView(item, product), language).SerializeToString()
        message = pb.LibraryItem.FromString(sent)

        assert item_of_message(message, item.user_id) == item
        assert _optional(message, "title") == product.title(language)
        assert _optional(message, "cover_image_url") == product.cover_image_url

    @given(items, st.lists(st.uuids(), max_size=3))
    def test_an_item_names_its_categories(self, item: Item, ids: list[UUID]):
        assert list(messages.item_message(ItemView(item, None, ids), Language.RU).category_ids) == list(map(str, ids))

    @given(items)
    def test_without_a_product_there_is_no_title(self, item: Item):
        message = messages.item_message(ItemView(item, None), Language.RU)

        assert not message.HasField("title")
        assert not message.HasField("cover_image_url")

    @given(st.lists(items, max_size=3), st.integers(0, 10), st.integers(1, 100))
    def test_a_page_says_where_it_lies(self, some: list[Item], total: int, limit: int):
        shown = [ItemView(item, None) for item in some]
        query = ItemQuery(USER, Language.RU, page=7, limit=limit)

        message = messages.page_message(ItemPage(shown, total, ()), query)

        assert [item.id for item in message.items] == [str(item.id) for item in some]
        assert (message.page.total_items, message.page.current_page, message.page.per_page) == (total, 7, limit)

    @given(items)
    def test_other_services_see_what_the_contract_names(self, item: Item):
        message = messages.owned_item_message(item)

        assert UUID(message.product_id) == item.product_id
        assert _time(message.added_at) == item.added_at
        assert message.total_playtime_seconds == item.total_playtime_seconds
        name = pb.InstallationStatus.Name(message.installation_status)
        assert name == f"INSTALLATION_STATUS_{item.installation_status.name}"


class TestQueries:
    def test_what_is_left_out_has_the_contracts_defaults(self):
        query = messages.item_query(pb.ListItemsRequest(), USER, Language.EN)

        assert query == ItemQuery(USER, Language.EN, sort=ItemSort.ADDED_AT_DESC, page=1, limit=20)

    @given(
        status=st.sampled_from(InstallationStatus),
        sort=st.sampled_from(ItemSort),
        hidden=st.booleans(),
        favorite=st.booleans(),
        limit=st.integers(1, 100),
    )
    def test_what_is_said_is_asked(
        self, *, status: InstallationStatus, sort: ItemSort, hidden: bool, favorite: bool, limit: int
    ):
        request = pb.ListItemsRequest(
            status=f"INSTALLATION_STATUS_{status.name}",
            search="чай",
            include_hidden=hidden,
            is_favorite=favorite,
            sort_by=f"ITEM_SORT_{sort.name}",
            page=3,
            limit=limit,
        )

        assert messages.item_query(request, USER, Language.RU) == ItemQuery(
            USER,
            Language.RU,
            status=status,
            search="чай",
            include_hidden=hidden,
            is_favorite=favorite,
            sort=sort,
            page=3,
            limit=limit,
        )


changes = st.fixed_dictionaries(
    {},
    optional={
        "is_hidden": st.booleans(),
        "is_favorite": st.booleans(),
        "user_rating": st.none() | st.integers(1, 5),
        "notes": st.none() | texts,
    },
)


class TestMasks:
    @given(items, changes, changes)
    def test_exactly_what_the_mask_names_changes(self, item: Item, named: dict[str, object], sent: dict[str, object]):
        values = {name: value for name, value in {**sent, **named}.items() if value is not None}
        request = pb.UpdateItemRequest(item=pb.LibraryItemChanges(**values), update_mask=FieldMask(paths=named))

        expected = {name: values.get(name) for name in named}
        assert item.changed(messages.item_changes(request)) == replace(item, **expected)

    @given(st.lists(st.uuids(), max_size=5))
    def test_categories_are_replaced_by_those_that_are_named(self, ids: list[UUID]):
        sent = pb.LibraryItemChanges(category_ids=map(str, ids))

        named = messages.item_changes(pb.UpdateItemRequest(item=sent, update_mask=FieldMask(paths=["category_ids"])))
        unnamed = messages.item_changes(pb.UpdateItemRequest(item=sent, update_mask=FieldMask(paths=["notes"])))

        assert named.category_ids == frozenset(ids)
        assert unnamed.category_ids is UNCHANGED

    def test_an_empty_mask_changes_nothing(self):
        request = pb.UpdateItemRequest(item=pb.LibraryItemChanges(notes="x"), update_mask=FieldMask())

        assert messages.item_changes(request) == ItemChanges()
        assert ItemChanges().notes is UNCHANGED

    @pytest.mark.parametrize("path", ["title", "user_id", "", "*", "notes.text", "is-hidden"])
    def test_an_unknown_path_is_refused(self, path: str):
        request = pb.UpdateItemRequest(item=pb.LibraryItemChanges(), update_mask=FieldMask(paths=[path, "notes"]))

        with pytest.raises(DomainError) as refused:
            messages.item_changes(request)

        assert (refused.value.kind, refused.value.reason) == (Kind.INVALID_ARGUMENT, "INVALID_ARGUMENT")
        assert [violation.field for violation in refused.value.violations] == ["update_mask"]

    def test_all_broken_rules_are_told_at_once(self):
        paths = ["is_hidden", "title", "is_favorite"]
        request = pb.UpdateItemRequest(item=pb.LibraryItemChanges(), update_mask=FieldMask(paths=paths))

        with pytest.raises(DomainError) as refused:
            messages.item_changes(request)

        fields = [violation.field for violation in refused.value.violations]
        assert fields == ["item.is_hidden", "update_mask", "item.is_favorite"]
