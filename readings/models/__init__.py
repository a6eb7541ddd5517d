"""Owners, wallets, meters and what they measured; one noun a file."""

from readings.models.import_file import ImportFile, ImportPart
from readings.models.meter import Meter, MeterAssignment
from readings.models.owner import Owner
from readings.models.reading import MeterReading, MeterReadingQuerySet
from readings.models.wallet import Wallet
from readings.models.wallet_change import WalletChange, WalletChangeQuerySet

__all__ = [
    "ImportFile",
    "ImportPart",
    "Meter",
    "MeterAssignment",
    "MeterReading",
    "MeterReadingQuerySet",
    "Owner",
    "Wallet",
    "WalletChange",
    "WalletChangeQuerySet",
]
