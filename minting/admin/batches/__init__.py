"""Batches: their page, and what happens on it."""
