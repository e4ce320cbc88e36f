"""Everything that the Download Service publishes to the platform; each event is defined with its noun."""

from download_svc.installations.domain import GameInstalled, GameUninstalled
from download_svc.sessions.domain import ItemMoved, SessionMoved
from download_svc.updates.domain import UpdateOffered
from download_svc.verifications.domain import VerificationCompleted

Event = SessionMoved | ItemMoved | GameInstalled | GameUninstalled | UpdateOffered | VerificationCompleted
