"""From payments to transactions: what fits, what fails, what it costs. Nothing is signed here."""
