"""The project: wiring."""

VERSION = "0.1.0"
"""As in ``pyproject.toml``, and in front of what the changelog says of it."""
