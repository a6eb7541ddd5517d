"""Where the platform's clients knock, below ``/``; there only with ``PLATFORM_DOORS``."""

from django.urls import path

from minting.api.doors.looking import Mine, Stats, Unminted
from minting.api.doors.minting import MintFromReading, MintReading
from minting.api.doors.submitting import (
    BatchReadings,
    MeterReadings,
    PrivateNetwork,
    PrivateNetworkBatch,
    PublicBatchReadings,
    SubmitBatch,
    SubmitReading,
    Telemetry,
    TelemetryBatch,
)

METERS = "api/v1/meters"

app_name = "doors"
urlpatterns = [
    path("api/meters/submit-reading", SubmitReading.as_view(), name="submit-reading"),
    path("api/meters/submit-batch", SubmitBatch.as_view(), name="submit-batch"),
    # What is named comes before what may be anybody's serial.
    path(f"{METERS}/batch/readings", BatchReadings.as_view(), name="batch-readings"),
    path(
        "api/v1/public/meters/batch/readings",
        PublicBatchReadings.as_view(),
        name="public-batch-readings",
    ),
    path(f"{METERS}/<str:serial>/readings", MeterReadings.as_view(), name="meter-readings"),
    path(f"{METERS}/readings/<uuid:reading_id>/mint", MintReading.as_view(), name="mint-reading"),
    path(f"{METERS}/readings", Mine.as_view(), name="readings"),
    path(f"{METERS}/stats", Stats.as_view(), name="stats"),
    path("api/admin/meters/unminted", Unminted.as_view(), name="unminted"),
    path("api/admin/meters/mint-from-reading", MintFromReading.as_view(), name="mint-from-reading"),
    path("v1/ingest/telemetry", Telemetry.as_view(), name="telemetry"),
    path("v1/ingest/telemetry/batch", TelemetryBatch.as_view(), name="telemetry-batch"),
    path("v1/private-network/ingest", PrivateNetwork.as_view(), name="private-network"),
    path(
        "v1/private-network/ingest/batch",
        PrivateNetworkBatch.as_view(),
        name="private-network-batch",
    ),
]
