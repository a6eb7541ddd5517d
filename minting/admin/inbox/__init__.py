"""What waits for a second person: batches above a limit, and changed wallets."""
