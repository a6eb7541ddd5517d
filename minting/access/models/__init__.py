"""Who may come in, how often, and what they did that spends."""

from minting.access.models.allowance import Allowance
from minting.access.models.call import ApiCall
from minting.access.models.token import ApiToken, ApiTokenManager

__all__ = ["Allowance", "ApiCall", "ApiToken", "ApiTokenManager"]
