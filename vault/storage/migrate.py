"""Schema versions of the vault's two databases, by alembic; a newer one is refused, a changed one, too."""

from pathlib import Path
from typing import Final, Literal

from sqlalchemy import Engine, inspect, text

from vault.errors import StoreVersionError
from vault.storage.schema_pins import check_schema

_FOLDER: Final = Path(__file__).parent / "migrations"
HEADS: Final = {"rows": "rows_0001", "keys": "keys_0001"}
"""The newest revision of each database, so that an up-to-date store opens without loading alembic."""


def upgrade(engine: Engine, database: Literal["rows", "keys"]) -> None:
    """Bring a database to this program's schema.

    Raises:
        StoreVersionError: its schema is of a newer version, or of another program.
        TamperedError: an object of its schema was added, changed or dropped.
    """
    present = _revision(engine)
    if present != HEADS[database]:
        _migrate(engine, database, present)
    with engine.connect() as connection:
        check_schema(connection, database)


def _migrate(engine: Engine, database: Literal["rows", "keys"], present: str | None) -> None:
    from alembic import command  # noqa: PLC0415  # 0.2 s that an up-to-date store need not pay
    from alembic.config import Config  # noqa: PLC0415
    from alembic.script import ScriptDirectory  # noqa: PLC0415

    config = Config()
    config.set_main_option("script_location", str(_FOLDER))
    config.set_main_option("version_locations", str(_FOLDER / database))
    config.set_main_option("path_separator", "os")
    known = {script.revision for script in ScriptDirectory.from_config(config).walk_revisions()}
    if present is not None and present not in known:
        raise StoreVersionError(
            f"the store has schema {present}, newer than {HEADS[database]}: use a newer memvault"
        )
    with engine.begin() as connection:
        config.attributes["connection"] = connection
        command.upgrade(config, "head")


def _revision(engine: Engine) -> str | None:
    with engine.connect() as connection:
        if not inspect(connection).has_table("alembic_version"):
            return None
        found = connection.execute(text("SELECT version_num FROM alembic_version")).scalar()
    return None if found is None else str(found)
