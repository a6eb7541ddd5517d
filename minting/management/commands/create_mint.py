"""``manage.py create_mint``: the energy token's mint, made once."""

from __future__ import annotations

from typing import Any

from django.core.management.base import CommandParser
from solders.pubkey import Pubkey
from spl.token.constants import TOKEN_2022_PROGRAM_ID, TOKEN_PROGRAM_ID

from minting.management.answers import AnsweringCommand, told
from minting.service.chain.session import open_session
from minting.service.create_mint import create_mint


def _address_or_name(text: str) -> Pubkey | str:
    try:
        return Pubkey.from_string(text)
    except ValueError:
        return text


class Command(AnsweringCommand):
    help = (
        "Makes the energy token's mint at an address derived from the signer's key, or finds it. "
        "The last line of stdout is the address: put it into ENERGY_TOKEN_MINT."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument(
            "--authority",
            type=_address_or_name,
            help="who may mint, an address or an account of MINT_PROGRAM's; default: the signer",
        )
        parser.add_argument(
            "--freeze-authority", type=Pubkey.from_string, help="who may freeze; default: nobody"
        )

        parser.add_argument(
            "--token-2022", action="store_true", help="of the program Token-2022, not SPL Token"
        )

    def handle(self, *_args: Any, **options: Any) -> None:
        with told(), open_session() as session:
            made = create_mint(
                session,
                authority=options["authority"],
                freeze_authority=options["freeze_authority"],
                token_program=TOKEN_2022_PROGRAM_ID if options["token_2022"] else TOKEN_PROGRAM_ID,
            )
        self.say("The mint was made." if made.created else "The mint was there already.")
        self.stdout.write(str(made.facts.address))
