"""Servers and clusters of a run's own, for what sets fire to the product and what measures it.

Not part of the product and never imported by it.
"""
