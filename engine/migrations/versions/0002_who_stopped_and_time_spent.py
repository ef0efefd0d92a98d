"""Jobs: who asked to stop, and the seconds that earlier starts of the search have spent."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    """Add the two columns; a job of the version before has spent nothing that is known."""
    op.add_column("jobs", sa.Column("stopped_by", sa.Text))
    op.add_column("jobs", sa.Column("spent_s", sa.Float, nullable=False, server_default="0"))
