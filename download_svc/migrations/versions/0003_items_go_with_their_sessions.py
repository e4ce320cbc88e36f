"""Items without foreign keys, so that starting a version of very many files checks each of them once and not again, row by row.

Items are made from the rows of file_metadata in the transaction that makes their session. A trigger that runs once for a statement
takes them away with their sessions. `ordinal` is the entry's place in the manifest, so it names the file, and one index holds both
the order of every list and "each file once in a session".
"""

from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

_UPGRADE = (
    "ALTER TABLE download_items DROP CONSTRAINT download_items_user_id_download_session_id_fkey",
    """
    DO $$
    BEGIN
        EXECUTE (
            SELECT format('ALTER TABLE download_items DROP CONSTRAINT %I', conname) FROM pg_constraint
            WHERE conrelid = 'download_items'::regclass AND contype = 'u'
        );
    END $$
    """,
    "DROP INDEX download_items_ordered",
    "CREATE UNIQUE INDEX download_items_ordered ON download_items (user_id, download_session_id, ordinal)",
    """
    CREATE FUNCTION delete_items_of_sessions() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
        DELETE FROM download_items AS item USING deleted_sessions AS gone
        WHERE item.user_id = gone.user_id AND item.download_session_id = gone.id;
        RETURN NULL;
    END $$
    """,
    """
    CREATE TRIGGER download_sessions_items AFTER DELETE ON download_sessions
    REFERENCING OLD TABLE AS deleted_sessions FOR EACH STATEMENT EXECUTE FUNCTION delete_items_of_sessions()
    """,
)
_DOWNGRADE = (
    "DROP TRIGGER download_sessions_items ON download_sessions",
    "DROP FUNCTION delete_items_of_sessions",
    "DROP INDEX download_items_ordered",
    "CREATE INDEX download_items_ordered ON download_items (user_id, download_session_id, ordinal)",
    "ALTER TABLE download_items ADD UNIQUE (user_id, download_session_id, file_metadata_id)",
    """
    ALTER TABLE download_items ADD FOREIGN KEY (user_id, download_session_id)
        REFERENCES download_sessions (user_id, id) ON DELETE CASCADE
    """,
)


def upgrade() -> None:
    for statement in _UPGRADE:
        op.execute(statement)


def downgrade() -> None:
    for statement in _DOWNGRADE:
        op.execute(statement)
