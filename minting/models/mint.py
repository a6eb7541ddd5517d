"""What the mint account says."""

from __future__ import annotations

from django.db import models
from solders.pubkey import Pubkey
from spl.token.instructions import get_associated_token_address
from uuid_utils.compat import uuid7

from minting.models.fields import address_field, signature_field


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


class Landmark(models.Model):
    """A signature of an address's history, noted before anything of ours was signed with it.

    A late proof of death walks the history back until it meets a signature that is known and older
    than the dead one's blockhash. Our first transactions have no older one of ours: this is it.
    Noted once and never changed.
    """

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    genesis_hash = models.CharField(max_length=44)
    address = address_field(help_text="Who pays for and signs our transactions.")
    signature = signature_field()
    slot = models.BigIntegerField(help_text="Where the history showed it when it was noted.")
    noted_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["genesis_hash", "address"], name="landmark_once_an_address"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.signature} of {self.address}"
