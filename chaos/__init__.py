"""Fire for the minting engine: a cluster, a controller that breaks things, and an auditor.

Not part of the product and never imported by it; ``python -m chaos`` runs it.
"""
