"""Jobs: the seconds that earlier starts of the search have waited behind other jobs."""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"


def upgrade() -> None:
    """Add the column; a job of the version before has waited for nothing that is known."""
    op.add_column("jobs", sa.Column("waited_s", sa.Float, nullable=False, server_default="0"))
