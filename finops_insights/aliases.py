"""What a language model is told instead of a name.

Whoever may create a project, a label or a marketplace SKU writes text that ends up in a billing export. None of it
reaches a model: names become HMACs under a key of this deployment, so that the same project is the same alias every
day, and nobody outside can guess which project it is. Only names that Google gave its own services go through, and
only as they stand on the list here.
"""

import hashlib
import hmac
from typing import Final, Literal

Kind = Literal["billing_account", "project", "service", "sku", "region"]
ALIAS_DIGITS: Final = 12
"""Eight would give two of 9,000 names the same alias once in a hundred deployments."""

PUBLIC_SERVICES: Final = frozenset({
    "AlloyDB", "Apigee", "App Engine", "Artifact Registry", "Backup and DR Service", "BigQuery",
    "BigQuery Data Transfer Service", "BigQuery Reservation API", "BigQuery Storage API",
    "Certificate Authority Service",
    "Cloud Bigtable", "Cloud Build", "Cloud CDN", "Cloud Composer", "Cloud Data Fusion", "Cloud Dataflow",
    "Cloud Dataproc", "Cloud Deploy", "Cloud DNS", "Cloud Filestore", "Cloud Firestore", "Cloud Functions",
    "Cloud Healthcare", "Cloud Interconnect", "Cloud Key Management Service (KMS)", "Cloud Logging",
    "Cloud Memorystore for Memcached", "Cloud Memorystore for Redis", "Cloud Monitoring", "Cloud Natural Language",
    "Cloud Pub/Sub", "Cloud Run", "Cloud Run Functions", "Cloud Scheduler", "Cloud Spanner", "Cloud Speech API",
    "Cloud SQL", "Cloud Storage", "Cloud Tasks", "Cloud Trace", "Cloud Vision API", "Cloud Workstations",
    "Compute Engine", "Container Registry", "Data Catalog", "Dataplex", "Dataproc", "Document AI", "Firebase",
    "Identity Platform", "Invoice", "Kubernetes Engine", "Looker", "Maps API", "Networking", "Network Services",
    "reCAPTCHA Enterprise", "Secret Manager", "Security Command Center", "Spanner", "Support", "Translate",
    "Vertex AI", "Vertex AI Search", "VM Manager", "VMware Engine", "Workflows",
})  # fmt: skip


def alias(key: bytes, kind: Kind, value: str) -> str:
    """What stands for `value` in everything that is sent."""
    digest = hmac.new(key, f"{kind}|{value}".encode(), hashlib.sha256).hexdigest()
    return f"{kind}_{digest[:ALIAS_DIGITS]}"


def told(key: bytes, kind: Kind, value: str, name: str) -> str:
    """How a member is called towards a model: its name when that is Google's own, its alias otherwise."""
    if kind == "service" and name in PUBLIC_SERVICES:
        return name
    return alias(key, kind, value)
