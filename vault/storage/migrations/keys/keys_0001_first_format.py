"""The first format of `keys.db`: wrapped keys, and the ledger of what must not come back."""

import sqlalchemy as sa
from alembic import op

from vault.crypto.key_guards import KEY_GUARDS

revision = "keys_0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Create the tables."""
    op.create_table(
        "keys",
        sa.Column("tenant_id", sa.String(length=64), nullable=False),
        sa.Column("kind", sa.String(length=16), nullable=False),
        sa.Column("subject_id", sa.String(length=40), nullable=False),
        sa.Column("version", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("wrapped", sa.LargeBinary(), nullable=False),
        sa.Column("fingerprint", sa.String(length=32), nullable=False),
        sa.Column("state", sa.String(length=16), nullable=False),
        sa.Column("seal_reserved", sa.BigInteger(), nullable=False),
        sa.Column("created", sa.BigInteger(), nullable=False),
        sa.Column("staged", sa.LargeBinary(), nullable=True),
        sa.PrimaryKeyConstraint("tenant_id", "kind", "subject_id", "version"),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "ledger",
        sa.Column("tenant_id", sa.String(length=64), nullable=False),
        sa.Column("kind", sa.String(length=16), nullable=False),
        sa.Column("digest", sa.LargeBinary(length=32), nullable=False),
        sa.Column("body", sa.Text(), nullable=False),
        sa.Column("leaf_index", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("tenant_id", "kind", "digest"),
        sqlite_with_rowid=False,
    )
    dialect = op.get_bind().dialect.name
    for statement in KEY_GUARDS.get(dialect, ()):
        op.execute(statement)
