"""Readings: the list, what is held, selecting and the preview before minting."""
