"""Alembic's entry: migrations run on the connection that `Store` hands over, within its transaction."""

from alembic import context

from evenhand.store.tables import metadata

context.configure(connection=context.config.attributes["connection"], target_metadata=metadata, render_as_batch=True)
context.run_migrations()
