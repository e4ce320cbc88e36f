"""Updates and their history, verifications and their issues; who has which product installed."""

from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

_TABLES = [
    """
    CREATE TABLE updates (
        user_id uuid NOT NULL,
        id uuid NOT NULL DEFAULT gen_random_uuid(),
        product_id uuid NOT NULL,
        from_version_id uuid NOT NULL,
        to_version_id uuid NOT NULL,
        update_type text NOT NULL CHECK (update_type IN ('full', 'delta')),
        size_bytes bigint NOT NULL CHECK (size_bytes >= 0),
        release_notes_url text,
        status text NOT NULL CHECK (status IN ('available', 'downloading', 'applied', 'failed')),
        created_at timestamptz NOT NULL DEFAULT now(),
        updated_at timestamptz NOT NULL DEFAULT now(),
        PRIMARY KEY (user_id, id),
        UNIQUE (user_id, product_id, to_version_id),
        FOREIGN KEY (product_id, to_version_id) REFERENCES product_versions (product_id, version_id) ON DELETE CASCADE
    )
    """,
    "CREATE INDEX updates_newest ON updates (user_id, updated_at DESC, id)",
    """
    CREATE TABLE updates_history (
        user_id uuid NOT NULL,
        id uuid NOT NULL DEFAULT gen_random_uuid(),
        product_id uuid NOT NULL,
        applied_version_id uuid NOT NULL,
        previous_version_id uuid,
        status text NOT NULL CHECK (status IN ('success', 'failed')),
        applied_at timestamptz NOT NULL,
        error_message text,
        created_at timestamptz NOT NULL DEFAULT now(),
        updated_at timestamptz NOT NULL DEFAULT now(),
        PRIMARY KEY (user_id, id)
    )
    """,
    "CREATE INDEX updates_history_product ON updates_history (user_id, product_id, applied_at DESC, id)",
    "CREATE INDEX updates_history_newest ON updates_history (user_id, applied_at DESC, id)",
    # `seen` has a bit for each entry of the manifest that the client has listed, the first in the lowest bit of the first byte.
    """
    CREATE TABLE verification_results (
        user_id uuid NOT NULL,
        id uuid NOT NULL DEFAULT gen_random_uuid(),
        product_id uuid NOT NULL,
        version_id uuid NOT NULL,
        device_id uuid,
        is_whole_tree boolean NOT NULL DEFAULT false,
        status text NOT NULL DEFAULT 'pending' CHECK (status IN
            ('pending', 'in_progress', 'completed_ok', 'completed_errors', 'failed_to_repair')),
        seen bytea NOT NULL DEFAULT ''::bytea,
        corrupted_files_count integer NOT NULL DEFAULT 0 CHECK (corrupted_files_count >= 0),
        repaired_files_count integer NOT NULL DEFAULT 0 CHECK (repaired_files_count BETWEEN 0 AND corrupted_files_count),
        files_requiring_redownload jsonb,
        download_session_id uuid,
        started_at timestamptz NOT NULL,
        completed_at timestamptz,
        created_at timestamptz NOT NULL DEFAULT now(),
        updated_at timestamptz NOT NULL DEFAULT now(),
        PRIMARY KEY (user_id, id),
        FOREIGN KEY (product_id, version_id) REFERENCES product_versions (product_id, version_id) ON DELETE CASCADE,
        CHECK ((status IN ('pending', 'in_progress')) = (completed_at IS NULL))
    )
    """,
    "CREATE INDEX verification_results_product ON verification_results (user_id, product_id, started_at DESC)",
    """
    CREATE INDEX verification_results_session ON verification_results (user_id, download_session_id)
        WHERE download_session_id IS NOT NULL
    """,
    # `right_chunks` numbers those chunks of a corrupted file that lie in it as they should.
    """
    CREATE TABLE verification_issues (
        user_id uuid NOT NULL,
        verification_id uuid NOT NULL,
        path text COLLATE "C" NOT NULL,
        kind text NOT NULL CHECK (kind IN ('corrupted', 'missing', 'extra', 'wrong_mode')),
        right_chunks integer[] NOT NULL DEFAULT '{}',
        PRIMARY KEY (user_id, verification_id, path),
        FOREIGN KEY (user_id, verification_id) REFERENCES verification_results (user_id, id) ON DELETE CASCADE
    )
    """,
    # How far a new version is announced to those who have an older one: up to this user and installation, until it is done.
    """
    CREATE TABLE version_announcements (
        version_id uuid PRIMARY KEY,
        product_id uuid NOT NULL,
        after_user_id uuid,
        after_installation_id uuid,
        done_at timestamptz,
        created_at timestamptz NOT NULL DEFAULT now(),
        updated_at timestamptz NOT NULL DEFAULT now(),
        FOREIGN KEY (product_id, version_id) REFERENCES product_versions (product_id, version_id) ON DELETE CASCADE,
        CHECK ((after_user_id IS NULL) = (after_installation_id IS NULL))
    )
    """,
    "CREATE INDEX version_announcements_pending ON version_announcements (created_at) WHERE done_at IS NULL",
    # Offers of a new version go through all installations of a product, a batch of users after the other.
    "CREATE INDEX installations_product ON installations (product_id, user_id, id)",
]


def upgrade() -> None:
    for statement in _TABLES:
        op.execute(statement)


def downgrade() -> None:
    op.execute("DROP INDEX installations_product")
    for table in ("version_announcements", "verification_issues", "verification_results", "updates_history", "updates"):
        op.execute(f"DROP TABLE {table}")
