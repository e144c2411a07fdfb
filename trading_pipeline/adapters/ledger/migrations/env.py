"""Run by Alembic: migrates over the connection it is given, in that connection's transaction."""

from alembic import context

from trading_pipeline.adapters.ledger.tables import metadata

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=metadata,
    # Who gave the connection has begun and will commit: all steps happen, or none.
    transactional_ddl=False,
)
context.run_migrations()
