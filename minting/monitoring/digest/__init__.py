"""The e-mail that tells staff once a day what needs them.

``concerns`` asks, ``letter`` writes, ``sending`` sends one of each day, whoever is at it.
"""
