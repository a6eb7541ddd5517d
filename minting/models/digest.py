"""Which days' digests went out."""

from __future__ import annotations

from django.db import models


class Digest(models.Model):
    """The e-mail about one day: claimed by whoever writes it, and noted once it is handed over."""

    day = models.DateField(primary_key=True, help_text="UTC; on which it is due.")
    claimed_at = models.DateTimeField(help_text="By a worker; too long ago, and another tries.")
    done_at = models.DateTimeField(null=True, blank=True, help_text="Sent, or nothing to tell.")
    subject = models.CharField(max_length=200, blank=True, help_text="Empty: nothing to tell.")
    recipients = models.PositiveIntegerField(default=0)

    class Meta:
        verbose_name = "digest"
        default_permissions = ()

    def __str__(self) -> str:
        return f"digest of {self.day}"
