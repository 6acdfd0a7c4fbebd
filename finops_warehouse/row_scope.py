"""Which rows somebody sees: all of them, or those of some billing accounts and projects."""

from dataclasses import dataclass


@dataclass(frozen=True)
class RowScope:
    """The accounts and the projects whose rows are seen; None where all are."""

    billing_accounts: tuple[str, ...] | None = None
    projects: tuple[str, ...] | None = None

    @property
    def is_restricted(self) -> bool:
        """Whether there are rows it does not see."""
        return self.billing_accounts is not None or self.projects is not None


EVERY_ROW = RowScope()
