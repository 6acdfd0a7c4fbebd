"""What can be bought: services, SKUs, where they run, and what they cost.

Service names, SKU descriptions and units are Google's; prices are its public list prices, rounded, for demonstration.
SKU ids are made from a hash, and so are the ids of services whose id no public source confirms.
"""

import hashlib
from decimal import Decimal
from typing import NamedTuple

CONFIRMED_SERVICE_IDS = {
    "Compute Engine": "6F81-5844-456A",
    "Cloud Storage": "95FF-2EF5-5EA1",
    "BigQuery": "24E6-581D-38E5",
    "BigQuery Reservation API": "16B8-3DDA-9F10",
    "Cloud SQL": "9662-B51E-5089",
    "Cloud Run": "152E-C115-5142",
    "Cloud Run Functions": "29E7-DA93-CA13",
    "Cloud Pub/Sub": "A1E8-BE35-7EBC",
    "Kubernetes Engine": "CCD8-9BF1-090E",
    "Cloud Logging": "5490-F7B7-8DF6",
    "Cloud Monitoring": "58CD-E7C3-72CA",
    "Cloud Spanner": "CC63-0873-48FD",
    "Cloud Bigtable": "C3BE-24A5-0975",
    "Cloud DNS": "FA26-5236-A128",
    "App Engine": "F17B-412E-CB64",
}


def synthetic_id(*parts: str) -> str:
    """Twelve hex digits in Google's grouping, the same for the same words everywhere and for ever."""
    digits = hashlib.sha256("\0".join(parts).encode()).hexdigest()[:12].upper()
    return f"{digits[:4]}-{digits[4:8]}-{digits[8:]}"


def service_id(service: str) -> str:
    return CONFIRMED_SERVICE_IDS.get(service) or synthetic_id("service", service)


class Place(NamedTuple):
    """A region, as the location column and as SKU descriptions name it."""

    region: str | None
    location: str
    country: str | None
    geography: str
    metro: str
    price_percent: int
    zoned: bool


PLACES = {
    "us-central1": Place("us-central1", "us-central1", "US", "Americas", "Iowa", 100, zoned=True),
    "us-east4": Place("us-east4", "us-east4", "US", "Virginia", "Northern Virginia", 113, zoned=True),
    "europe-west1": Place("europe-west1", "europe-west1", "BE", "EMEA", "Belgium", 110, zoned=True),
    "europe-west3": Place("europe-west3", "europe-west3", "DE", "Frankfurt", "Frankfurt", 129, zoned=True),
    "us": Place(None, "us", "US", "US", "US", 100, zoned=False),
    "eu": Place(None, "eu", None, "EU", "EU", 100, zoned=False),
    "global": Place(None, "global", None, "Global", "Global", 100, zoned=False),
}


class Units(NamedTuple):
    """What is metered, what is priced, and how many of the first make one of the second."""

    base: str
    pricing: str
    base_per_pricing: float


GIB = 2.0**30
MONTH_OF_SECONDS = 2_592_000.0
HOURS = Units("seconds", "hour", 3600.0)
GIB_HOURS = Units("byte-seconds", "gibibyte hour", GIB * 3600)
GIB_MONTHS = Units("byte-seconds", "gibibyte month", GIB * MONTH_OF_SECONDS)
GIBIBYTES = Units("bytes", "gibibyte", GIB)
TEBIBYTES = Units("bytes", "tebibyte", 2.0**40)
REQUESTS = Units("requests", "count", 1.0)
SECONDS = Units("seconds", "second", 1.0)
GIB_SECONDS = Units("byte-seconds", "gibibyte second", GIB)
MINUTES = Units("seconds", "minute", 60.0)
COUNTS = Units("count", "count", 1.0)
MONTHS = Units("seconds", "month", MONTH_OF_SECONDS)


class Swing(NamedTuple):
    """How demand moves: over the week, over the day, over the months, and by chance."""

    weekend: float
    day_night: float
    monthly_growth: float
    noise: float


FLAT = Swing(1.0, 0.0, 0.0, 0.0)
NEVER_OFF = Swing(1.0, 0.0, 0.0, 0.01)
STORED = Swing(1.0, 0.0, 0.02, 0.004)
SHOPPING = Swing(0.82, 0.45, 0.02, 0.04)
OFFICE = Swing(0.45, 0.60, 0.015, 0.06)
QUERIES = Swing(0.60, 0.50, 0.015, 0.08)
TRAINING = Swing(0.75, 0.10, 0.02, 0.10)
SWELLING = Swing(0.95, 0.20, 0.16, 0.03)


class Sku(NamedTuple):
    """One price list entry. `{geography}`, `{metro}` and `{region}` in the description come from the place."""

    service: str
    description: str
    units: Units
    usd: str
    swing: Swing
    hourly: bool = False
    discount_permille: int = 0
    resource: str = ""
    tiers: tuple[tuple[int, str], ...] = ()
    """(from this much usage in the month, price); the first tier is `usd`."""
    seller: str = ""
    agency: bool = False
    flexible: bool = False
    """Whether a spend-based Compute commitment may pay for it."""


_CE, _NET, _SQL, _GCS, _BQ = "Compute Engine", "Networking", "Cloud SQL", "Cloud Storage", "BigQuery"
_VM, _DISK = "instances", "disks"

SKUS = {
    "n2 core": Sku(_CE, "N2 Instance Core running in {geography}", HOURS, "0.031611", SHOPPING, hourly=True,
                   discount_permille=60, resource=_VM, flexible=True),
    "n2 ram": Sku(_CE, "N2 Instance Ram running in {geography}", GIB_HOURS, "0.004237", SHOPPING, hourly=True,
                  discount_permille=60, resource=_VM, flexible=True),
    "n1 core": Sku(_CE, "N1 Predefined Instance Core running in {geography}", HOURS, "0.031611", SHOPPING, hourly=True,
                   discount_permille=60, resource=_VM),
    "n1 ram": Sku(_CE, "N1 Predefined Instance Ram running in {geography}", GIB_HOURS, "0.004237", SHOPPING,
                  hourly=True, discount_permille=60, resource=_VM),
    "e2 core": Sku(_CE, "E2 Instance Core running in {geography}", HOURS, "0.021812", OFFICE, hourly=True,
                   discount_permille=60, resource=_VM),
    "e2 ram": Sku(_CE, "E2 Instance Ram running in {geography}", GIB_HOURS, "0.002924", OFFICE, hourly=True,
                  discount_permille=60, resource=_VM),
    "spot core": Sku(_CE, "Spot Preemptible N2 Instance Core running in {geography}", HOURS, "0.007650", OFFICE,
                     hourly=True, resource=_VM),
    "t4": Sku(_CE, "Nvidia Tesla T4 GPU running in {geography}", HOURS, "0.35", TRAINING, hourly=True,
              discount_permille=60, resource=_VM),
    "a100": Sku(_CE, "Nvidia Tesla A100 GPU running in {geography}", HOURS, "2.933908", TRAINING, hourly=True,
                discount_permille=60, resource=_VM),
    "h100": Sku(_CE, "Nvidia H100 80GB GPU running in {geography}", HOURS, "9.796556", NEVER_OFF, hourly=True,
                discount_permille=60, resource=_VM),
    "pd": Sku(_CE, "Storage PD Capacity", GIB_MONTHS, "0.04", STORED, resource=_DISK),
    "ssd": Sku(_CE, "SSD backed PD Capacity", GIB_MONTHS, "0.17", STORED, resource=_DISK),
    "snapshot": Sku(_CE, "Storage PD Snapshot", GIB_MONTHS, "0.05", SWELLING, resource="snapshots"),
    "static ip": Sku(_CE, "Static Ip Charge", HOURS, "0.01", FLAT, resource="addresses"),
    "egress": Sku(_CE, "Network Internet Data Transfer Out from {geography} to {geography}", GIBIBYTES, "0.12",
                  SHOPPING, hourly=True, tiers=((0, "0.12"), (1024, "0.11"), (10240, "0.08"))),
    "standard egress": Sku(_CE, "Network Standard Data Transfer Out to Internet from {geography}", GIBIBYTES, "0.085",
                           SHOPPING),
    "region egress": Sku(_CE, "Network Inter Region Data Transfer Out from {geography} to Asia Pacific", GIBIBYTES,
                         "0.08", SHOPPING, hourly=True),
    "zone egress": Sku(_CE, "Network Inter Zone Data Transfer Out", GIBIBYTES, "0.01", SHOPPING),
    "forwarding": Sku(_NET, "Cloud Load Balancer Forwarding Rule Minimum Global", HOURS, "0.025", FLAT,
                      resource="forwardingRules"),
    "lb data": Sku(_NET, "Global External Application Load Balancer Inbound Data Processing for {geography}", GIBIBYTES,
                   "0.008", SHOPPING, hourly=True),
    "nat uptime": Sku(_NET, "Networking Cloud Nat Gateway Uptime", HOURS, "0.044", FLAT),
    "nat data": Sku(_NET, "Networking Cloud Nat Data Processing", GIBIBYTES, "0.045", SHOPPING),
    "armor": Sku(_NET, "Cloud Armor Enterprise Protected Resource", COUNTS, "30", FLAT),
    "standard storage": Sku(_GCS, "Standard Storage {metro}", GIB_MONTHS, "0.020", STORED, resource="buckets"),
    "nearline storage": Sku(_GCS, "Nearline Storage {metro}", GIB_MONTHS, "0.010", STORED, resource="buckets"),
    "class a": Sku(_GCS, "Regional Standard Class A Operations", REQUESTS, "0.000005", QUERIES, hourly=True,
                   resource="buckets"),
    "class b": Sku(_GCS, "Regional Standard Class B Operations", REQUESTS, "0.0000004", QUERIES, resource="buckets"),
    "analysis": Sku(_BQ, "Analysis ({metro} (multi-region))", TEBIBYTES, "6.25", QUERIES, hourly=True,
                    discount_permille=50, tiers=((1, "6.25"),)),
    "active storage": Sku(_BQ, "Active Logical Storage ({metro} (multi-region))", GIB_MONTHS, "0.02", STORED,
                          resource="datasets"),
    "long storage": Sku(_BQ, "Long Term Logical Storage ({metro} (multi-region))", GIB_MONTHS, "0.01", STORED,
                        resource="datasets"),
    "slots": Sku("BigQuery Reservation API", "BigQuery Enterprise Edition for {metro} (multi-region)", HOURS, "0.06",
                 OFFICE, hourly=True),
    "sql ha cpu": Sku(_SQL, "Cloud SQL for PostgreSQL: Regional - vCPU in {geography}", HOURS, "0.0826", NEVER_OFF,
                      hourly=True, discount_permille=40, resource="sql"),
    "sql ha ram": Sku(_SQL, "Cloud SQL for PostgreSQL: Regional - RAM in {geography}", GIB_HOURS, "0.0140", NEVER_OFF,
                      discount_permille=40, resource="sql"),
    "sql cpu": Sku(_SQL, "Cloud SQL for PostgreSQL: Zonal - vCPU in {geography}", HOURS, "0.0413", NEVER_OFF,
                   hourly=True, discount_permille=40, resource="sql"),
    "sql disk": Sku(_SQL, "Cloud SQL for PostgreSQL: Regional - Standard storage in {geography}", GIB_MONTHS, "0.34",
                    STORED, discount_permille=40, resource="sql"),
    "run cpu": Sku("Cloud Run", "Services CPU (Instance-based billing) in {region}", SECONDS, "0.000018", SHOPPING,
                   hourly=True, resource="services"),
    "run ram": Sku("Cloud Run", "Services Memory (Instance-based billing) in {region}", GIB_SECONDS, "0.000002",
                   SHOPPING, resource="services"),
    "functions": Sku("Cloud Run Functions", "Invocations", REQUESTS, "0.0000004", OFFICE),
    "pubsub": Sku("Cloud Pub/Sub", "Message Delivery Basic", TEBIBYTES, "40", SHOPPING, hourly=True, resource="topics"),
    "zonal cluster": Sku("Kubernetes Engine", "Zonal Kubernetes Clusters", HOURS, "0.10", FLAT, resource="clusters"),
    "regional cluster": Sku("Kubernetes Engine", "Regional Kubernetes Clusters", HOURS, "0.10", FLAT,
                            resource="clusters"),
    "autopilot cpu": Sku("Kubernetes Engine", "Autopilot Pod mCPU Requests ({region})", HOURS, "0.0445", SHOPPING,
                         hourly=True, resource="clusters"),
    "logs": Sku("Cloud Logging", "Log Storage cost", GIBIBYTES, "0.50", SWELLING, hourly=True),
    "metrics": Sku("Cloud Monitoring", "Prometheus Samples Ingested", REQUESTS, "0.00000006", SHOPPING),
    "spanner": Sku("Cloud Spanner", "Regional Standard Edition Node in {region}", HOURS, "0.90", NEVER_OFF, hourly=True,
                   resource="spanner"),
    "bigtable": Sku("Cloud Bigtable", "Server Node ({region})", HOURS, "0.65", NEVER_OFF, hourly=True,
                    resource="bigtable"),
    "dns": Sku("Cloud DNS", "DNS Query (port 53)", REQUESTS, "0.0000004", SHOPPING),
    "app engine": Sku("App Engine", "Frontend Instances", HOURS, "0.05", SHOPPING),
    "dataflow cpu": Sku("Cloud Dataflow", "vCPU Time Streaming {region}", HOURS, "0.069", SHOPPING, hourly=True,
                        resource="jobs"),
    "dataflow batch": Sku("Cloud Dataflow", "vCPU Time Batch {region}", HOURS, "0.056", QUERIES, hourly=True,
                          resource="jobs"),
    "prediction": Sku("Vertex AI", "Online Prediction G2 Accelerator in {geography}", HOURS, "0.8129", SHOPPING,
                      hourly=True, resource="endpoints"),
    "gemini": Sku("Vertex AI", "Gemini 2.5 Flash GA Text Output - Predictions", COUNTS, "0.0000025", OFFICE,
                  hourly=True),
    "build": Sku("Cloud Build", "Build time for e2-highcpu-8: {region}", MINUTES, "0.016", OFFICE, hourly=True,
                 resource="builds"),
    "redis": Sku("Cloud Memorystore for Redis", "Redis Capacity Standard M2 {metro}", GIB_HOURS, "0.046", NEVER_OFF,
                 hourly=True, resource="redis"),
    "images": Sku("Artifact Registry", "Artifact Registry Storage", GIB_MONTHS, "0.10", STORED),
    "support": Sku("Support", "Enhanced Support Subscription", MONTHS, "1500", FLAT),
    "atlas": Sku("MongoDB Atlas (Pay as You Go)", "MongoDB Atlas Pay as You Go", COUNTS, "0.01", SHOPPING,
                 seller="MongoDB, Inc."),
    "datadog": Sku("Datadog Pro Pay-As-You-Go", "Datadog Pro usage", COUNTS, "1", FLAT, seller="Datadog, Inc.",
                   agency=True),
    "flex fee": Sku(_CE, "Commitment - dollar based v1: GCE for 1 year", HOURS, "1", FLAT),
    "n2 core fee": Sku(_CE, "Commitment v1: N2 Cpu in {metro} for 1 Year", HOURS, "0.019915", FLAT),
    "n2 ram fee": Sku(_CE, "Commitment v1: N2 Ram in {metro} for 1 Year", GIB_HOURS, "0.002669", FLAT),
    "sql fee": Sku(_SQL, "Commitment - dollar based v1: Cloud SQL database in {metro} for 1 year", HOURS, "1", FLAT),
    "tax": Sku("Invoice", "Tax", COUNTS, "0", FLAT),
    "rounding": Sku("Invoice", "Rounding error", COUNTS, "0", FLAT),
}  # fmt: skip


class Offer(NamedTuple):
    """A SKU somewhere: what a row's `service`, `sku`, `location` and `price` are made from."""

    sku: Sku
    place: Place

    @property
    def description(self) -> str:
        place = self.place
        return self.sku.description.format(
            geography=place.geography, metro=place.metro, region=place.region or place.location
        )

    @property
    def sku_id(self) -> str:
        return synthetic_id("sku", self.sku.service, self.description)

    def price_nanos(self, usd: str) -> int:
        """The list price here, in billionths of a dollar for one pricing unit."""
        return int(Decimal(usd) * 1_000_000_000 * self.place.price_percent / 100)
