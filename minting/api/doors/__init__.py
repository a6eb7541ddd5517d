"""Doors that the platform's clients know: thin adapters over the same intake and the same minting.

========== =====================================================================================
``bodies`` pure: what each family of clients sends, as ``readings.intake.Submission``
``answers`` what each of them reads in an answer
``taking`` from a body to an answer, one reading or many
``paying`` from a reading to its minting, waited for
========== =====================================================================================

The others are views. ``urls`` names all of them; with ``PLATFORM_DOORS=false`` none is there.
"""
