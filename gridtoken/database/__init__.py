"""Django's PostgreSQL backend, over a server that stands up when it is first needed."""
