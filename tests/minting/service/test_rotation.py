"""The authority's key is changed (SetAuthority): what is said meanwhile, and after."""

from __future__ import annotations

import json
from decimal import Decimal

import pytest
from solders.keypair import Keypair
from spl.token.instructions import set_authority
from spl.token.models import AuthorityType, SetAuthorityParams

from minting.engine.errors import MintingRefused
from minting.models import BatchSource, MintResult, ReconcileFinding
from minting.service.audit.reconcile import reconcile
from minting.service.chain.session import open_session
from minting.service.requests.prepare import request_batch
from tests.factories.readings import MeterReadingFactory
from tests.minting.conftest import SOL

pytestmark = pytest.mark.django_db(transaction=True)


def queue(reading):
    return request_batch([reading.id], source=BatchSource.CLI, strict=True, nudge=False)


def test_a_new_authority_goes_on_where_the_old_one_stopped(
    minting_chain, drain, tmp_path, settings
):
    first, second, third = (MeterReadingFactory(kwh_amount=Decimal("0.5")) for _ in range(3))
    queue(first)
    drain()
    waiting = queue(second)
    new = Keypair()
    minting_chain.net.airdrop(new.pubkey(), 100 * SOL)
    minting_chain.send(
        [
            set_authority(
                SetAuthorityParams(
                    program_id=minting_chain.token_program,
                    account=minting_chain.mint,
                    authority=AuthorityType.MINT_TOKENS,
                    current_authority=minting_chain.authority.pubkey(),
                    new_authority=new.pubkey(),
                )
            )
        ]
    )

    # The old key is still configured: nothing is signed, in one sentence.
    with pytest.raises(MintingRefused, match="is minted by"):
        queue(third)
    drain()
    result = MintResult.objects.get(batch=waiting)
    assert (result.status, result.error_code) == ("failed", "minting_refused")

    file = tmp_path / "new.json"
    file.touch(mode=0o600)
    file.write_text(json.dumps(list(bytes(new))))
    settings.MINT_AUTHORITY_KEYPAIR = str(file)
    settings.MINT_AUTHORITY_ADDRESS = str(new.pubkey())
    for reading in (second, third):
        queue(reading)
    drain()
    minting_chain.net.wait_slots(40)
    assert minting_chain.supply() == 3 * 500_000_000
    with open_session() as session:
        assert reconcile(session, thorough=True).clean
    assert not ReconcileFinding.objects.exists()
