"""How much of its rate each caller has used up; counted for all web processes."""

from __future__ import annotations

from django.db import models


class Allowance(models.Model):
    """When a caller's allowance will be whole again: the one number of a leaky bucket.

    The table is unlogged: it costs no write-ahead log, and after a crash of PostgreSQL everybody
    begins anew.
    """

    subject = models.CharField(max_length=80, primary_key=True, help_text="Whose.")
    full_at = models.DateTimeField()

    class Meta:
        verbose_name = "allowance"

    def __str__(self) -> str:
        return self.subject
