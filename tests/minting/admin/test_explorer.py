"""Where signatures and wallets lead, by cluster and by ``EXPLORER_URL``."""

from __future__ import annotations

import pytest

from minting.admin import explorer
from readings.admin import copying

MAINNET = "5eykt4UsFv8P8NJdTREpY1vzqKqZKvdpKuc147dw2N9d"
DEVNET = "EtWTRABZaYq6iMfeYKouRu166VU2xqa1wcaWoxPkrZBG"
TESTNET = "4uhcVJyU9pJkvQyS88uRDiswHXSCkY3zQawwpjk2NsNY"


@pytest.mark.parametrize(
    ("given", "genesis", "transaction", "address"),
    [
        (None, "another", "", ""),
        (
            None,
            MAINNET,
            "https://explorer.solana.com/tx/SIG",
            "https://explorer.solana.com/address/WALLET",
        ),
        (
            None,
            DEVNET,
            "https://explorer.solana.com/tx/SIG?cluster=devnet",
            "https://explorer.solana.com/address/WALLET?cluster=devnet",
        ),
        (
            None,
            TESTNET,
            "https://explorer.solana.com/tx/SIG?cluster=testnet",
            "https://explorer.solana.com/address/WALLET?cluster=testnet",
        ),
        (
            "https://x.example/",
            MAINNET,
            "https://x.example/tx/SIG",
            "https://x.example/address/WALLET",
        ),
        (
            "https://x.example/sol?cluster=custom&customUrl=http%3A%2F%2Fhost%3A8899",
            "another",
            "https://x.example/sol/tx/SIG?cluster=custom&customUrl=http%3A%2F%2Fhost%3A8899",
            "https://x.example/sol/address/WALLET?cluster=custom&customUrl=http%3A%2F%2Fhost%3A8899",
        ),
        (
            "https://x.example/tx/{signature}?c=1",
            "another",
            "https://x.example/tx/SIG?c=1",
            "https://x.example/address/WALLET?c=1",
        ),
        ("https://x.example/t/{signature}", "another", "https://x.example/t/SIG", ""),
    ],
)
def test_pages_of_an_explorer(settings, given, genesis, transaction, address):
    settings.EXPLORER_URL = given
    assert explorer.transaction_url("SIG", genesis) == transaction
    assert explorer.address_url("WALLET", genesis) == address


def test_without_an_explorer_there_is_no_link(settings):
    settings.EXPLORER_URL = None
    assert explorer.transaction("SIG", "another") == ""
    assert explorer.address("", MAINNET) == ""
    link = explorer.address("WALLET", MAINNET)
    assert 'rel="noopener noreferrer"' in link
    assert 'aria-label="Show the wallet in the explorer"' in link


def test_what_is_copied_is_whole_and_escaped():
    assert 'data-copy="&lt;b&gt;"' in copying.button("<b>", "signature")
    assert copying.button("", "signature") == ""
