"""Batches: their page, what happens on it, approvals."""
