"""Where the API answers, below ``/api/v1/``."""

from django.urls import path, re_path

from minting.api.base import NoSuchEndpoint
from minting.api.batches import BatchCancel, BatchDetail, BatchList, BatchResults, BatchRetry
from minting.api.mint import MintBatchEstimate, MintBatchRequest, ReadingMint
from minting.api.readings import ReadingCorrections, ReadingDetail, ReadingList
from minting.api.registry import MeterDetail, MeterList, OwnerDetail, OwnerList
from minting.api.results import MintResultList
from minting.api.wallet_changes import (
    WalletChangeDetail,
    WalletChangeList,
    WalletChangeWithdraw,
)

app_name = "api"
urlpatterns = [
    path("mint-batch", MintBatchRequest.as_view(), name="mint-batch"),
    path("mint-batch/estimate", MintBatchEstimate.as_view(), name="mint-batch-estimate"),
    path("mint-batches", BatchList.as_view(), name="mint-batch-list"),
    path("mint-batches/<uuid:batch_id>", BatchDetail.as_view(), name="mint-batch-detail"),
    path("mint-batches/<uuid:batch_id>/results", BatchResults.as_view(), name="mint-batch-results"),
    path("mint-batches/<uuid:batch_id>/cancel", BatchCancel.as_view(), name="mint-batch-cancel"),
    path("mint-batches/<uuid:batch_id>/retry", BatchRetry.as_view(), name="mint-batch-retry"),
    path("mint-results", MintResultList.as_view(), name="mint-result-list"),
    path("readings", ReadingList.as_view(), name="reading-list"),
    path("readings/<uuid:reading_id>", ReadingDetail.as_view(), name="reading-detail"),
    path("readings/<uuid:reading_id>/mint", ReadingMint.as_view(), name="reading-mint"),
    path(
        "readings/<uuid:reading_id>/corrections",
        ReadingCorrections.as_view(),
        name="reading-corrections",
    ),
    path("owners", OwnerList.as_view(), name="owner-list"),
    path("owners/<uuid:row_id>", OwnerDetail.as_view(), name="owner-detail"),
    path("meters", MeterList.as_view(), name="meter-list"),
    path("meters/<uuid:row_id>", MeterDetail.as_view(), name="meter-detail"),
    path("wallet-changes", WalletChangeList.as_view(), name="wallet-change-list"),
    path("wallet-changes/<uuid:row_id>", WalletChangeDetail.as_view(), name="wallet-change-detail"),
    path(
        "wallet-changes/<uuid:row_id>/withdraw",
        WalletChangeWithdraw.as_view(),
        name="wallet-change-withdraw",
    ),
    re_path(r"", NoSuchEndpoint.as_view()),
]
