"""Who uses the cloud: two billing accounts, one organisation, its folders, its projects and their tags.

One project changes folder and one is launched while the export runs, because that is when reports go wrong: the
hierarchy on a row is the one of its usage time, and a project's first day is billed before its name is known.
"""

from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any, NamedTuple

from finops_pipeline.sample_export.catalog import synthetic_id


class Account(NamedTuple):
    billing_account_id: str
    currency: str
    tax_permyriad: int
    """Tax in hundredths of a percent, on the projects that pay it."""


USD_ACCOUNT = Account("01A7C3-5E9B20-4D6F81", "USD", 625)
EUR_ACCOUNT = Account("0186E2-9D41B7-C35A0F", "EUR", 1900)
ACCOUNTS = (USD_ACCOUNT, EUR_ACCOUNT)
TABLE = "gcp_billing_export_resource_v1_" + USD_ACCOUNT.billing_account_id.replace("-", "_")

ORGANISATION = ("418203950117", "northwind-outfitters.example")
FOLDERS = {
    "Commerce": "602118840231",
    "Data": "602118840232",
    "Platform": "602118840233",
    "Sandboxes": "602118840234",
    "Europe": "602118840235",
}


class Project(NamedTuple):
    project_id: str
    account: Account
    folder: str
    team: str
    env: str
    pays_tax: bool = False
    label_team: str = ""
    """The team on the project's own label, where it contradicts the one on the rows."""


MOVED_PROJECT, MOVED_TO = "nw-search-prod", "Data"
LAUNCHED_PROJECT = "nw-loyalty-prod"

PROJECTS = (
    Project("nw-shop-prod", USD_ACCOUNT, "Commerce", "storefront", "prod", pays_tax=True),
    Project("nw-shop-staging", USD_ACCOUNT, "Commerce", "storefront", "staging"),
    Project("nw-shop-dev", USD_ACCOUNT, "Commerce", "storefront", "dev"),
    Project("nw-checkout-prod", USD_ACCOUNT, "Commerce", "payments", "prod", pays_tax=True),
    Project("nw-checkout-dev", USD_ACCOUNT, "Commerce", "payments", "dev"),
    Project("nw-search-prod", USD_ACCOUNT, "Commerce", "search", "prod", pays_tax=True),
    Project("nw-search-dev", USD_ACCOUNT, "Commerce", "search", "dev"),
    Project(LAUNCHED_PROJECT, USD_ACCOUNT, "Commerce", "growth", "prod"),
    Project("nw-warehouse", USD_ACCOUNT, "Data", "data-platform", "prod", pays_tax=True),
    Project("nw-data-lake", USD_ACCOUNT, "Data", "data-platform", "prod", label_team="analytics"),
    Project("nw-analytics-dev", USD_ACCOUNT, "Data", "analytics", "dev"),
    Project("nw-ml-training", USD_ACCOUNT, "Data", "ml", "prod"),
    Project("nw-ml-serving", USD_ACCOUNT, "Data", "ml", "prod"),
    Project("nw-events", USD_ACCOUNT, "Platform", "data-platform", "prod"),
    Project("nw-observability", USD_ACCOUNT, "Platform", "sre", "prod"),
    Project("nw-network-hub", USD_ACCOUNT, "Platform", "sre", "prod", label_team="networking"),
    Project("nw-ci", USD_ACCOUNT, "Platform", "developer-experience", "test"),
    Project("nw-archive", USD_ACCOUNT, "Platform", "sre", "prod"),
    Project("nw-sandbox", USD_ACCOUNT, "Sandboxes", "", "dev"),
    Project("nw-eu-shop-prod", EUR_ACCOUNT, "Europe", "storefront-eu", "prod", pays_tax=True),
    Project("nw-eu-shop-test", EUR_ACCOUNT, "Europe", "storefront-eu", "test", pays_tax=True),
    Project("nw-eu-payments", EUR_ACCOUNT, "Europe", "payments", "prod", pays_tax=True),
    Project("nw-eu-analytics", EUR_ACCOUNT, "Europe", "analytics", "prod", pays_tax=True),
    Project("nw-eu-backup", EUR_ACCOUNT, "Europe", "sre", "prod", pays_tax=True),
    Project("nw-eu-tools", EUR_ACCOUNT, "Europe", "developer-experience", "prod", pays_tax=True),
)
PROJECT_NUMBER = {project.project_id: index for index, project in enumerate(PROJECTS)}

RENAMED_TEAM, RENAMED_TO = "search", "discovery"

Labels = list[dict[str, str]]


@dataclass(frozen=True)
class Milestones:
    """What happens once, counted from the first export day so that a longer export tells the same story."""

    first_day: date

    def _after(self, days: int) -> date:
        return self.first_day + timedelta(days=days)

    @property
    def team_renamed(self) -> date:
        return self._after(38)

    @property
    def project_moved(self) -> date:
        return self._after(44)

    @property
    def project_launched(self) -> date:
        return self._after(50)

    @property
    def price_changed(self) -> date:
        return self._after(57)


def google_number(project_id: str) -> str:
    """A project's number, as resource names spell it."""
    return str(int(synthetic_id("project", project_id).replace("-", ""), 16) % 900_000_000_000 + 100_000_000_000)


def project_record(project: Project, *, moved: bool) -> dict[str, Any]:
    """The `project` column, before or after the one move between folders."""
    folder = MOVED_TO if moved and project.project_id == MOVED_PROJECT else project.folder
    number = google_number(project.project_id)
    organisation, domain = ORGANISATION
    return {
        "id": project.project_id,
        "number": number,
        "name": project.project_id.replace("nw-", "Northwind ").replace("-", " "),
        "labels": _project_labels(project),
        "ancestry_numbers": f"/{organisation}/{FOLDERS[folder]}/",
        "ancestors": [
            {"resource_name": f"projects/{number}", "display_name": project.project_id},
            {"resource_name": f"folders/{FOLDERS[folder]}", "display_name": folder},
            {"resource_name": f"organizations/{organisation}", "display_name": domain},
        ],
    }


def _project_labels(project: Project) -> Labels:
    if not project.team:
        return []
    return [{"key": "env", "value": project.env}, {"key": "team", "value": project.label_team or project.team}]


def project_tags(project: Project, *, attached: bool) -> list[dict[str, Any]]:
    """Tags a row inherits from its folder, and the one some resources carry themselves."""
    environment = "production" if project.env == "prod" else "non-production"
    namespace = ORGANISATION[0]
    inherited = {"key": "environment", "value": environment, "inherited": True, "namespace": namespace}
    if not attached:
        return [inherited]
    own = {"key": "data-class", "value": "confidential", "inherited": False, "namespace": project.project_id}
    return [own, inherited]
