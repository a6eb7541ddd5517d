"""The person paid."""

from __future__ import annotations

from django.contrib.postgres.indexes import GinIndex
from django.contrib.postgres.search import SearchVector
from django.db import models
from django.db.models import Q
from uuid_utils.compat import uuid7

from readings.models.words import beginning

NAME_WORDS = SearchVector("name", config="simple")


class OwnerQuerySet(models.QuerySet["Owner"]):
    """Named questions about owners."""

    def named(self, text: str) -> OwnerQuerySet:
        """Those whose id, address of mail, or words of the name begin so."""
        begins = Q(user_id__startswith=text) | Q(email__startswith=text)
        if words := beginning(text):
            begins |= Q(words=words)
        return self.alias(words=NAME_WORDS).filter(begins)


class Owner(models.Model):
    """Whom a meter's export belongs to. Owners never log in."""

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    user_id = models.CharField(
        max_length=64, unique=True, help_text="The platform's name for this person."
    )
    name = models.CharField(max_length=200)
    email = models.EmailField(blank=True)
    created_at = models.DateTimeField(auto_now_add=True, editable=False)

    objects = models.Manager.from_queryset(OwnerQuerySet)()

    class Meta:
        permissions = [("forget_owner", "Can make owners forgotten, for good")]
        constraints = [
            models.CheckConstraint(name="owner_user_id_given", condition=~models.Q(user_id="")),
        ]
        indexes = [
            models.Index(fields=["name", "user_id"], name="owner_by_name"),
            models.Index(
                fields=["email"], opclasses=["varchar_pattern_ops"], name="owner_by_email"
            ),
            GinIndex(NAME_WORDS, name="owner_words"),
        ]

    def __str__(self) -> str:
        return f"{self.name} ({self.user_id})"
