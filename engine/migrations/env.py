"""Alembic's entry: migrates over the connection that `engine.store.migrate` holds."""

from alembic import context

context.configure(connection=context.config.attributes["connection"])
context.run_migrations()
