"""Telling other systems what happened (docs/webhooks.md).

===============  ====================================================================
``payloads``     pure: what an event says, and its exact bytes
``signing``      pure: secrets and signatures, as Standard Webhooks has them
``addresses``    pure: which URLs and addresses may be sent to
``backoff``      pure: when an attempt is repeated, and when never again
``outbox``       events → numbered deliveries, in one database transaction
``courier``      deliveries → attempts, as a job: claim, send, write down
``ledger``       the courier's database phases
``post``         the courier's network phase: one request, bounded in every way
``endpoints``    what people do: make, change, test, replay, disable
``upkeep``       who calls a courier; what is given up, disabled, forgotten
===============  ====================================================================
"""
