"""What the mint account says."""

from __future__ import annotations

from django.db import models
from solders.pubkey import Pubkey
from spl.token.instructions import get_associated_token_address
from uuid_utils.compat import uuid7

from minting.models.fields import address_field


class MintInfo(models.Model):
    """The mint of this installation, as its account on the chain says it.

    Nothing else in the system names a token program, decimals, or the size of a token account.
    The row is also the lock under which the fee payer's lamports are reserved.
    """

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    genesis_hash = models.CharField(max_length=44, help_text="The cluster, recorded at first use.")
    address = address_field()
    token_program = address_field()
    decimals = models.PositiveSmallIntegerField()
    account_size = models.PositiveIntegerField(help_text="Bytes of an associated token account.")
    mint_authority = address_field(blank=True)
    freeze_authority = address_field(blank=True)
    recorded_at = models.DateTimeField(auto_now_add=True)
    checked_at = models.DateTimeField(auto_now=True)

    class Meta:
        verbose_name = "mint"
        verbose_name_plural = "mints"
        constraints = [
            models.UniqueConstraint(fields=["genesis_hash", "address"], name="mint_once_a_cluster"),
        ]

    def token_account_of(self, wallet: str) -> Pubkey:
        """The associated token account that this mint pays for ``wallet``."""
        return get_associated_token_address(
            Pubkey.from_string(wallet),
            Pubkey.from_string(self.address),
            Pubkey.from_string(self.token_program),
        )

    def __str__(self) -> str:
        return str(self.address)
