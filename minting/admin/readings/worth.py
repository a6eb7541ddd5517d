"""What energy is worth in tokens, for people to see."""

from __future__ import annotations

from decimal import Decimal

from django.conf import settings

from minting.engine.amounts import tokens_for
from minting.engine.errors import InvalidBatchData


def earns(kwh: Decimal) -> int:
    """Base units that a mint of now would pay; 0 for what is too little."""
    ratio, decimals = settings.TOKENIZATION_KWH_TO_TOKEN_RATIO, settings.TOKENIZATION_DECIMALS
    try:
        return tokens_for(kwh, ratio=ratio, decimals=decimals)
    except InvalidBatchData:
        return 0
