"""Tables of the Download Service as SQLAlchemy sees them; created by migrations/versions. Used by the postgres_* adapters only.
A test compares them with a migrated database.
"""

from collections.abc import Mapping
from typing import Any

from sqlalchemy import MetaData, text

metadata = MetaData()

NEW_ID = text("gen_random_uuid()")


Values = Mapping[str, Any]
"""Column values by name: what SQLAlchemy takes, hence Any."""
