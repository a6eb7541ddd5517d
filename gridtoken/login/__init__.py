"""Who comes in: password, second factor, lock-out, and what is told of it."""
