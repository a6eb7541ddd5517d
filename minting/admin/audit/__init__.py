"""Results, transactions and what proves them."""
