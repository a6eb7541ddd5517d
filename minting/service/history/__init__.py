"""The mint's past as the chain tells it, and the gate that compares it with the journal."""
