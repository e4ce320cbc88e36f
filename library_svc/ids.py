"""The ids of the library's things; the types keep them from being mixed up. All are UUIDs but those of others' making."""

from typing import NamedTuple, NewType
from uuid import UUID

UserId = NewType("UserId", UUID)
ProductId = NewType("ProductId", UUID)
ItemId = NewType("ItemId", UUID)
WishlistItemId = NewType("WishlistItemId", UUID)
CategoryId = NewType("CategoryId", UUID)
VersionId = NewType("VersionId", UUID)
DeviceId = NewType("DeviceId", UUID)
DownloadSessionId = NewType("DownloadSessionId", UUID)
PlaytimeSessionId = NewType("PlaytimeSessionId", UUID)
AchievementId = NewType("AchievementId", UUID)
SaleId = NewType("SaleId", str)
SavegameId = NewType("SavegameId", UUID)
SaveVersionId = NewType("SaveVersionId", UUID)


class EventId(NamedTuple):
    """The identity of an event that is handled once: an id is unique only within its source."""

    source: str
    id: str
