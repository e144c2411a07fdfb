"""The ledger's schema, step by step, run from within the package: no alembic.ini is needed."""

from pathlib import Path
from typing import Final

import sqlalchemy as sa

from trading_pipeline.errors import SettingsError

HEAD: Final = "0004"
"""The newest revision; a test holds it equal to what Alembic finds in versions/."""


def is_current(connection: sa.Connection) -> bool:
    """Whether the database stands at HEAD, asked without importing Alembic."""
    return revision_of(connection) == HEAD


def revision_of(connection: sa.Connection) -> str | None:
    """The revision of the database, None when it has no tables yet."""
    if not sa.inspect(connection).has_table("alembic_version"):
        return None
    return connection.scalar(sa.text("SELECT version_num FROM alembic_version"))


def upgrade(connection: sa.Connection, to: str = "head") -> None:
    """Bring the schema to a revision, the newest by default, within the connection's transaction.

    A database that a newer version of the product made is a SettingsError.
    """
    from alembic import command  # noqa: PLC0415 - heavy: on first use
    from alembic.config import Config  # noqa: PLC0415
    from alembic.util import CommandError  # noqa: PLC0415

    config = Config(attributes={"connection": connection})
    config.set_main_option("script_location", str(Path(__file__).parent).replace("%", "%%"))
    config.set_main_option("path_separator", "os")
    try:
        command.upgrade(config, to)
    except CommandError as error:
        wanted = HEAD if to == "head" else to
        raise SettingsError(f"The ledger cannot be brought to {wanted}: {error}.") from error
