"""Everything we refuse, as an operator meets it.

* FinopsError                     the message names the thing and the remedy; shown as it is, without a traceback
  x SettingsError                 a setting is missing, wrong or contradicts another
  x BadRules                      the file of custom dimensions and shared costs is wrong; nothing of it is applied
  x WarehouseError                the database cannot be used as it is
    - WarehouseUnreachable, WrongCredentials, NewerSchema, UnsupportedPlatform
  x SourceError                   the billing export cannot be read as it is
    - SourceUnreachable, UnknownTable, NoPermission
    - UnreadableFile, MissingColumn, WrongColumnType, BadValue
    - ExportDayVanished, SecondExport
    - BudgetReached
  x BadRequest                    what was asked for cannot be done
    - BadDateRange, NoDataInRange
  x ProofFailed                   an identity does not hold: some number would be wrong
"""


class FinopsError(Exception):
    """The message is for the person who has to act: what was tried, why it fails, what would work."""


class SettingsError(FinopsError):
    """Settings are wrong. The message names the variable and never its secret."""


class BadRules(FinopsError):
    """The rules of custom dimensions or shared costs are wrong. The message names the file, the line and the reason."""


class WarehouseError(FinopsError):
    """The database cannot be used as it is."""


class WarehouseUnreachable(WarehouseError):
    """Nobody answers at DATABASE_URL."""


class WrongCredentials(WarehouseError):
    """The database answers and refuses us."""


class NewerSchema(WarehouseError):
    """The database was migrated by a newer release than this one."""


class UnsupportedPlatform(WarehouseError):
    """There is no embedded PostgreSQL for this machine."""


class SourceError(FinopsError):
    """The billing export cannot be read as it is."""


class SourceUnreachable(SourceError):
    """The place the export lives in does not answer."""


class UnknownTable(SourceError):
    """There is no such table or folder."""


class NoPermission(SourceError):
    """The export exists and we may not read it."""


class UnreadableFile(SourceError):
    """A file is cut short, or is not what its name says."""


class MissingColumn(SourceError):
    """The export lacks a column that no figure can be made without."""


class WrongColumnType(SourceError):
    """A column holds another kind of value than the export's schema says."""


class BadValue(SourceError):
    """A value no figure can be made of: a cost that is not a number, a charge with no day, month or currency."""


class ExportDayVanished(SourceError):
    """A day that was loaded is no longer in the export."""


class SecondExport(SourceError):
    """Two exports, or two tables of one, would tell the same charges twice."""


class BudgetReached(SourceError):
    """Going on would bill more than the deployment allows. Nothing of it was billed; what was loaded before stays."""


class BadRequest(FinopsError):
    """What was asked for cannot be done."""


class BadDateRange(BadRequest):
    """The window is empty, reversed or not made of days."""


class NoDataInRange(BadRequest):
    """The export holds nothing in the window."""


class ProofFailed(FinopsError):
    """An identity does not hold: some number would be wrong."""
