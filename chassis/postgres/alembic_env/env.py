"""Runs the scripts on the connection that chassis.postgres.migrations has opened and locked, each in a transaction of its own."""

from alembic import context

context.configure(connection=context.config.attributes["connection"], transaction_per_migration=True)

with context.begin_transaction():
    context.run_migrations()
