"""What is told to other systems: what happened, to whom, and how often it was tried."""

from __future__ import annotations

from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.db.models import F, Q
from django.db.models.functions import Now
from uuid_utils.compat import uuid7

from minting.engine.events import DeliveryState, EventType, Outcome
from minting.models.fields import choices, status_field


class WebhookEndpointQuerySet(models.QuerySet["WebhookEndpoint"]):
    """Named questions about endpoints."""

    def standing(self) -> WebhookEndpointQuerySet:
        """Those that are not removed."""
        return self.filter(removed_at__isnull=True)

    def awake(self) -> WebhookEndpointQuerySet:
        """Enabled, not resting, and nobody sends to them."""
        return self.standing().filter(
            Q(rests_until__isnull=True) | Q(rests_until__lte=Now()),
            Q(lease_until__isnull=True) | Q(lease_until__lte=Now()),
            enabled=True,
        )

    def given_up(self) -> WebhookEndpointQuerySet:
        """Disabled, and no person did it: somebody should know."""
        return self.standing().filter(enabled=False, disabled_by="")

    def due(self) -> WebhookEndpointQuerySet:
        """Awake, and something waits to be sent."""
        return self.awake().filter(
            models.Exists(WebhookDelivery.objects.due().filter(endpoint=models.OuterRef("pk")))
        )


class WebhookEndpoint(models.Model):
    """Who is told, what of, and how it goes. Its secret is derived from ``salt``, never stored."""

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    url = models.CharField("URL", max_length=500)
    description = models.CharField(max_length=200, blank=True)
    events = ArrayField(models.CharField(max_length=32, choices=choices(EventType)))
    created_by = models.CharField(max_length=150)
    created_at = models.DateTimeField(db_default=Now(), editable=False)
    removed_at = models.DateTimeField(null=True, blank=True)

    salt = models.CharField(max_length=64, help_text="Hex; the secret is derived from it.")
    secret_check = models.CharField(max_length=16, help_text="Beginning of the secret's digest.")
    previous_salt = models.CharField(max_length=64, blank=True)
    previous_until = models.DateTimeField(
        null=True, blank=True, help_text="Until then the secret before this one signs too."
    )

    enabled = models.BooleanField(default=True)
    disabled_reason = models.CharField(max_length=200, blank=True)
    disabled_by = models.CharField(
        max_length=150, blank=True, help_text="A person; nobody where it was disabled by itself."
    )
    last_sequence = models.BigIntegerField(default=0)
    failures = models.PositiveIntegerField(default=0, help_text="In a row.")
    failing_since = models.DateTimeField(null=True, blank=True)
    rests_until = models.DateTimeField(null=True, blank=True)
    last_attempt_at = models.DateTimeField(null=True, blank=True)
    last_success_at = models.DateTimeField(null=True, blank=True)
    claim = models.UUIDField(null=True, blank=True, help_text="New with every claim: the fence.")
    lease_until = models.DateTimeField(null=True, blank=True)

    objects = WebhookEndpointQuerySet.as_manager()

    class Meta:
        verbose_name = "webhook endpoint"
        ordering = ["-id"]
        permissions = [("manage_webhooks", "Can manage webhook endpoints and replay deliveries")]
        constraints = [
            models.CheckConstraint(
                condition=Q(enabled=True, disabled_reason="") | Q(enabled=False),
                name="webhook_endpoint_disabled_for_a_reason",
            ),
        ]

    def __str__(self) -> str:
        # Receivers put keys behind the question mark.
        return self.description or self.url.partition("?")[0]


class WebhookEvent(models.Model):
    """Something that happened and is not handed out yet; written by the journal, gone after."""

    id = models.BigAutoField(primary_key=True)
    message = models.UUIDField(help_text="What ``webhook-id`` is made of.")
    type = models.CharField(max_length=32, choices=choices(EventType))
    batch_id = models.UUIDField(null=True, blank=True)
    facts = models.JSONField(help_text="What is true of that moment only.")
    happened_at = models.DateTimeField()

    class Meta:
        verbose_name = "webhook event"
        ordering = ["id"]

    def __str__(self) -> str:
        return f"{self.type} {self.message}"


class WebhookDeliveryQuerySet(models.QuerySet["WebhookDelivery"]):
    """Named questions about deliveries."""

    def pending(self) -> WebhookDeliveryQuerySet:
        """Neither delivered nor given up."""
        return self.filter(state=DeliveryState.PENDING)

    def due(self) -> WebhookDeliveryQuerySet:
        """To be sent now."""
        return self.pending().filter(due_at__lte=Now())


class WebhookDelivery(models.Model):
    """One event for one endpoint: the exact bytes, and whether they got there."""

    id = models.BigAutoField(primary_key=True)
    endpoint = models.ForeignKey(
        WebhookEndpoint, on_delete=models.CASCADE, related_name="deliveries", db_index=False
    )
    sequence = models.BigIntegerField()
    message = models.CharField("webhook-id", max_length=40)
    type = models.CharField("event", max_length=32, choices=choices(EventType))
    body = models.TextField()
    created_at = models.DateTimeField()
    state = status_field(DeliveryState, DeliveryState.PENDING)
    due_at = models.DateTimeField()
    give_up_at = models.DateTimeField()
    attempts = models.PositiveIntegerField(default=0)
    failures = models.PositiveSmallIntegerField(
        default=0, help_text="Since it was made, or last replayed."
    )
    delivered_at = models.DateTimeField(null=True, blank=True)
    last_status = models.PositiveSmallIntegerField(null=True, blank=True)
    last_error = models.CharField(max_length=200, blank=True)
    replayed_by = models.CharField(max_length=150, blank=True)
    replayed_at = models.DateTimeField(null=True, blank=True)

    objects = WebhookDeliveryQuerySet.as_manager()

    class Meta:
        verbose_name = "webhook delivery"
        verbose_name_plural = "webhook deliveries"
        ordering = ["-id"]
        constraints = [
            models.UniqueConstraint(
                fields=["endpoint", "sequence"], name="webhook_delivery_numbered_once"
            ),
            models.UniqueConstraint(
                fields=["message", "endpoint"], name="webhook_delivery_once_an_endpoint"
            ),
            models.CheckConstraint(
                condition=~Q(state=DeliveryState.DELIVERED.value) | Q(delivered_at__isnull=False),
                name="webhook_delivery_delivered_at",
            ),
        ]
        indexes = [
            # The next of an endpoint is asked for with every attempt; mostly the first is due.
            models.Index(
                fields=["endpoint", "sequence"],
                name="webhook_delivery_pending",
                condition=Q(state=DeliveryState.PENDING.value),
            ),
            # Lists: of an endpoint, of an event, of what was not delivered; retention by age.
            models.Index(F("endpoint"), F("id").desc(), name="webhook_delivery_of_endpoint"),
            models.Index(F("type"), F("id").desc(), name="webhook_delivery_of_type"),
            models.Index(
                F("state"),
                F("id").desc(),
                name="webhook_delivery_open",
                condition=~Q(state=DeliveryState.DELIVERED.value),
            ),
            models.Index(fields=["created_at"], name="webhook_delivery_age"),
        ]

    def __str__(self) -> str:
        return f"no. {self.sequence:,}: {self.type}"


class WebhookAttempt(models.Model):
    """One request; its row is there before the first byte leaves."""

    id = models.BigAutoField(primary_key=True)
    delivery = models.ForeignKey(
        WebhookDelivery, on_delete=models.CASCADE, related_name="tries", db_index=False
    )
    number = models.PositiveIntegerField()
    outcome = status_field(Outcome, Outcome.SENDING)
    started_at = models.DateTimeField(db_default=Now(), editable=False)
    took_ms = models.PositiveIntegerField(null=True, blank=True)
    status = models.PositiveSmallIntegerField(null=True, blank=True)
    address = models.CharField(max_length=45, blank=True, help_text="Where it was sent to.")
    answer = models.TextField(blank=True, help_text="How the answer began.")
    error = models.CharField(max_length=200, blank=True)

    class Meta:
        verbose_name = "webhook attempt"
        ordering = ["number"]
        constraints = [
            models.UniqueConstraint(
                fields=["delivery", "number"], name="webhook_attempt_numbered_once"
            ),
        ]
        indexes = [
            models.Index(
                fields=["delivery"],
                name="webhook_attempt_open",
                condition=Q(outcome=Outcome.SENDING.value),
            ),
        ]

    def __str__(self) -> str:
        return f"attempt {self.number}"
