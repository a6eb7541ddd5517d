"""The chain itself: LiteSVM and what it lacks. No sockets and no wall clock in here."""
