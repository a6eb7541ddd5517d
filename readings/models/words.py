"""Words of names, found by how they begin: PostgreSQL's text search, which needs no extension."""

from __future__ import annotations

import re

from django.contrib.postgres.search import SearchQuery


def beginning(text: str) -> SearchQuery | None:
    """Asks for all words of ``text``, each as the beginning of one; ``None`` without any."""
    words = re.findall(r"\w+", text)
    if all(word.isdigit() for word in words):
        return None  # rather a serial's or an id's, which have indexes of their own
    return SearchQuery(
        " & ".join(f"{word}:*" for word in words), config="simple", search_type="raw"
    )
