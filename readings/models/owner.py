"""The person paid."""

from __future__ import annotations

from django.db import models
from uuid_utils.compat import uuid7


class Owner(models.Model):
    """Whom a meter's export belongs to. Owners never log in."""

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    user_id = models.CharField(
        max_length=64, unique=True, help_text="The platform's name for this person."
    )
    name = models.CharField(max_length=200)
    email = models.EmailField(blank=True)
    created_at = models.DateTimeField(auto_now_add=True, editable=False)

    class Meta:
        constraints = [
            models.CheckConstraint(name="owner_user_id_given", condition=~models.Q(user_id="")),
        ]

    def __str__(self) -> str:
        return f"{self.name} ({self.user_id})"
