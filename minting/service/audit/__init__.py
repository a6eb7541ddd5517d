"""What can be proven afterwards: packs, receipts, reconciliation, statements."""
