"""What every project buys on an ordinary day: one meter per project, SKU and place, at list price.

The levels are in the account's own currency. Some meters are there to be found: an unattached address, disks without
machines, databases made redundant for developers, logs that swell, storage nobody reads.
"""

from typing import NamedTuple

from finops_pipeline.sample_export.catalog import NEVER_OFF as ALL_NIGHT
from finops_pipeline.sample_export.catalog import PLACES, SKUS, Offer, Swing
from finops_pipeline.sample_export.estate import PROJECTS, Project


class Meter(NamedTuple):
    project: Project
    sku: str
    offer: Offer
    daily: float
    swing: Swing
    dormant: bool = False
    """Costs nothing until an event wakes it."""
    month_end: float = 1.0
    """How much busier the last two days of a month are."""


_ORDINARY: dict[str, str] = {
    # project: place, then `sku level` pairs; `@place` after a SKU moves that one meter
    "nw-shop-prod": "us-central1; n2 core 1150; n2 ram 520; ssd 85; sql ha cpu 310; sql ha ram 150; sql disk 45;"
    "redis 140; run cpu 190; run ram 35; egress 420; lb data 60; regional cluster 2.4; autopilot cpu 230; logs 60;"
    "metrics 18; atlas@global 210; armor@global 30; images 6; dns@global 3; forwarding@global 3",
    "nw-shop-staging": "us-central1; e2 core 130; e2 ram 62; sql ha cpu 72; sql disk 9; ssd 14; zonal cluster 2.4;"
    "logs 9; run cpu 14",
    "nw-shop-dev": "us-central1; e2 core 64; e2 ram 30; sql cpu 24; pd 6; logs 4; build 18; images 3",
    "nw-checkout-prod": "us-east4; n2 core 540; n2 ram 250; sql ha cpu 260; sql ha ram 120; sql disk 40; run cpu 330;"
    "run ram 60; spanner 260; egress 90; logs 45; metrics 12; redis 70; regional cluster 2.4",
    "nw-checkout-dev": "us-east4; e2 core 48; e2 ram 22; sql ha cpu 44; pd 4; zonal cluster 4.8; logs 3; functions 0.4",
    "nw-search-prod": "us-central1; n2 core 480; n2 ram 230; n1 core 95; n1 ram 42; ssd 60; bigtable 220; redis 190;"
    "egress 75; logs 30; zone egress 38; metrics 9",
    "nw-search-dev": "us-central1; n1 core 36; n1 ram 16; e2 core 22; ssd 8; logs 2",
    "nw-loyalty-prod": "us-central1; run cpu 120; run ram 24; sql cpu 60; pubsub 36; logs 8",
    "nw-warehouse": "us-central1; analysis@us 1450; active storage@us 290; long storage@us 95; slots@us 240;"
    "dataflow batch 280; standard storage 85; class a 22; app engine 7; logs 16",
    "nw-data-lake": "us-central1; standard storage 640; nearline storage 130; class a 180; class b 22;"
    "region egress 34; analysis@us 110; active storage@us 60",
    "nw-analytics-dev": "us-central1; analysis@us 160; active storage@us 28; sql ha cpu 58; sql ha ram 26;"
    "zonal cluster 7.2; e2 core 40; functions 0.6; gemini@global 30",
    "nw-ml-training": "us-central1; t4 240; a100 620; n1 core 120; n1 ram 50; ssd 70; standard storage 90; class a 8;"
    "spot core 85",
    "nw-ml-serving": "us-central1; prediction 430; gemini@global 210; run cpu 70; standard storage 18; logs 22",
    "nw-events": "us-central1; pubsub 330; dataflow cpu 410; bigtable 130; standard storage 24; logs 26; functions 0.9",
    "nw-observability": "us-central1; logs 380; metrics 140; analysis@us 90; active storage@us 35; datadog@global 165",
    "nw-network-hub": "us-central1; egress 520; standard egress 40; region egress 190; zone egress 55; lb data 120;"
    "forwarding@global 9; nat uptime 3.2; nat data 44; armor@global 30; dns@global 12; static ip 3.4",
    "nw-ci": "us-central1; build 240; spot core 95; e2 core 55; e2 ram 24; images 21; standard storage 8; logs 7",
    "nw-archive": "us-central1; pd 96; ssd 44; snapshot 62; static ip 2.2; forwarding@global 3; nat uptime 2.1;"
    "nearline storage 25",
    "nw-sandbox": "us-central1; e2 core 70; e2 ram 33; analysis@us 55; gemini@global 95; standard storage 12; pd 9;"
    "static ip 1.1",
    "nw-eu-shop-prod": "europe-west3; n2 core 380; n2 ram 180; ssd 26; run cpu 165; run ram 22; egress 130;"
    "autopilot cpu 95; regional cluster 2.4; redis 42; logs 21; lb data 18; atlas@global 48",
    "nw-eu-shop-test": "europe-west1; e2 core 46; e2 ram 21; sql ha cpu 34; zonal cluster 4.8; pd 4; logs 3",
    "nw-eu-payments": "europe-west3; n2 core 150; n2 ram 70; sql ha cpu 190; sql ha ram 84; sql disk 22; spanner 85;"
    "logs 12; region egress 16",
    "nw-eu-analytics": "europe-west1; analysis@eu 290; active storage@eu 88; long storage@eu 24; dataflow batch 76;"
    "functions 0.3; gemini@global 42",
    "nw-eu-backup": "europe-west1; snapshot 48; nearline storage 74; standard storage 60; class a 9; region egress 95",
    "nw-eu-tools": "europe-west1; build 52; e2 core 28; images 9; app engine 4; metrics 5; logs 4; zone egress 3",
}

_DORMANT = (
    ("nw-ml-training", "h100", "us-central1", 1_450.0),
    ("nw-data-lake", "region egress", "us-east4", 610.0),
    ("nw-eu-payments", "t4", "europe-west3", 210.0),
    ("nw-checkout-prod", "region egress", "us-central1", 240.0),
)

ALWAYS_ON_PROJECTS = frozenset({"nw-shop-staging", "nw-eu-shop-test"})
"""Test machines nobody switches off: as busy at night and on Sundays as at noon."""

MONTH_END_BATCH = {("nw-warehouse", "dataflow batch"): 3.0, ("nw-eu-analytics", "dataflow batch"): 2.6}


def ordinary_meters() -> list[Meter]:
    """Every meter, in an order that never depends on anything but the tables above."""
    by_id = {project.project_id: project for project in PROJECTS}
    meters = [meter for project_id, bought in _ORDINARY.items() for meter in _meters(by_id[project_id], bought)]
    for project_id, sku, place, daily in _DORMANT:
        offer = Offer(SKUS[sku], PLACES[place])
        meters.append(Meter(by_id[project_id], sku, offer, daily, ALL_NIGHT, dormant=True))
    return meters


def _meters(project: Project, bought: str) -> list[Meter]:
    home, *items = (item.strip() for item in bought.split(";"))
    return [_meter(project, home, item) for item in items]


def _meter(project: Project, home: str, item: str) -> Meter:
    name, level = item.rsplit(" ", 1)
    sku, _, place = name.partition("@")
    offer = Offer(SKUS[sku], PLACES[place or home])
    swing = offer.sku.swing
    if project.project_id in ALWAYS_ON_PROJECTS and swing.weekend < 1:
        swing = ALL_NIGHT
    return Meter(
        project, sku, offer, float(level), swing, month_end=MONTH_END_BATCH.get((project.project_id, sku), 1.0)
    )
