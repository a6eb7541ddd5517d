"""``manage.py estimate``: the plan and its exact cost, minting nothing."""

from __future__ import annotations

from typing import Any

from django.core.management.base import CommandParser

from minting.management.answers import AnsweringCommand, told
from minting.management.selection import add_selection, selected
from minting.service.describe import describe_estimate
from minting.service.requests.prepare import estimate_readings


class Command(AnsweringCommand):
    help = "Shows what minting would send and cost, and mints nothing."

    def add_arguments(self, parser: CommandParser) -> None:
        add_selection(parser)
        parser.add_argument("--json", action="store_true", help="answer as one JSON document")

    def handle(self, *_args: Any, **options: Any) -> None:
        with told():
            choice = selected(options)
            found = estimate_readings(choice.ids, allowed=choice.allowed)
        answer = describe_estimate(found)
        if options["json"]:
            self.answer_json(answer)
            return
        self.stdout.write(
            "{readings} readings to {wallets} wallets in {transactions} transactions\n"
            "network fee   {network_fee_lamports:>15,} lamports\n"
            "priority fee  {priority_fee_lamports:>15,} lamports\n"
            "rent          {rent_lamports:>15,} lamports ({new_accounts} new accounts)\n"
            "total         {total_lamports:>15,} lamports\n"
            "balance       {authority_balance_lamports:>15,} lamports\n"
            "afterwards    {balance_after_lamports:>15,} lamports".format(**answer)
        )
        for item in answer["excluded"]:
            self.stdout.write("left out      {reading_id}: {reason} ({code})".format(**item))
