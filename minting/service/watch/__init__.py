"""Figures, progress and health, for whoever looks."""
