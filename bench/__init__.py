"""How fast and how cheap: the product beside what it replaces, on the local chain.

Not part of the product and never imported by it; ``python -m bench`` runs it.
"""
