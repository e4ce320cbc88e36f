"""Everything that the Download Service tells the platform; each event is defined with its noun."""

from download_svc.domain.installations import GameInstalled, GameUninstalled
from download_svc.domain.sessions import ItemMoved, SessionMoved
from download_svc.domain.updates import UpdateOffered
from download_svc.domain.verifications import VerificationCompleted

Event = SessionMoved | ItemMoved | GameInstalled | GameUninstalled | UpdateOffered | VerificationCompleted
