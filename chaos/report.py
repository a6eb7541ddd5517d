"""What a run says at its end."""

from __future__ import annotations

from django.db.models import Count

from chaos.audit import Books, audit
from chaos.controller import Controller, say
from minting.models import MintTransaction
from readings.models import MeterReading

SHOWN = 20
"""Findings that are told one by one."""


def report(controller: Controller, books: Books, *, rested: bool) -> bool:
    """Tells kills, faults, readings, seconds and the verdict; returns whether all is well."""
    say("")
    for what, times in sorted(controller.done.items()):
        say(f"  {times:6}  {what}")
    rows = MintTransaction.objects.order_by().values_list("status").annotate(n=Count("id"))
    told = ", ".join(f"{number} {status}" for status, number in sorted(rows))
    minted = MeterReading.objects.filter(status="minted").count()
    say(f"transactions: {told}")
    say(f"supply: {books.chain.supply(books.mint)} base units")
    say(f"reconcile: {controller.reconciled or 'did not run'}")
    findings = audit(books)
    if controller.failure:
        findings.insert(0, controller.failure)
    if not rested:
        findings.insert(0, f"not at rest after {controller.seconds:.0f} s")
    if minted != len(controller.readings):
        findings.append(f"{minted} of {len(controller.readings)} readings are minted")
    for finding in findings[:SHOWN]:
        say(f"  {finding}")
    if len(findings) > SHOWN:
        say(f"  and {len(findings) - SHOWN} more")
    say(
        f"{controller.kills} kills, {minted} readings, {controller.seconds:.0f} s: "
        + ("nothing lost, nothing doubled" if not findings else f"FAILED, {len(findings)} findings")
    )
    return not findings
