"""The database: pool, transactions, statements, migrations."""
