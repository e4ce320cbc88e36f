"""The tables of the Download Service that an erasure clears: a feature adds its own here, one per line, children before parents."""

from typing import Final

from chassis.erasure.plan import ErasedTable, KeptTable

ERASED: Final = (
    ErasedTable("download_items", made_with="download_sessions"),
    ErasedTable("download_sessions"),
    ErasedTable("verification_issues"),
    ErasedTable("verification_results"),
    ErasedTable("updates"),
    ErasedTable("updates_history"),
    ErasedTable("installations"),
)
KEPT: Final = (KeptTable("erasures", "says that the user was erased, and refuses what comes late"),)
