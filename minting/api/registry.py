"""Owners and meters: the registry, through the services that the admin uses."""

from __future__ import annotations

from http import HTTPStatus
from typing import Any
from uuid import UUID

import django_filters  # type: ignore[import-untyped]
from django.db import transaction
from django.db.models import Prefetch, QuerySet
from django.urls import reverse
from django.utils import timezone
from drf_spectacular.utils import (
    OpenApiExample,
    OpenApiParameter,
    OpenApiResponse,
    extend_schema,
)
from rest_framework.exceptions import NotFound, PermissionDenied
from rest_framework.generics import GenericAPIView
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.serializers import Serializer

from minting.access.models import ApiToken
from minting.access.permissions import HasScope
from minting.access.scopes import Scope
from minting.api.base import ApiView, caller
from minting.api.documents import IDEMPOTENCY_KEY, JSON_OK, problems
from minting.api.errors import InvalidRequest
from minting.api.idempotency import Answer, answer_once
from minting.api.pagination import KeysetPagination
from minting.api.serializers import examples
from minting.api.serializers.registry import (
    MeterChangeSerializer,
    MeterRegistrationSerializer,
    MeterSerializer,
    OwnerChangeSerializer,
    OwnerRegistrationSerializer,
    OwnerSerializer,
)
from readings import intake
from readings.errors import UnknownOwner
from readings.models import Meter, MeterAssignment, Owner, Wallet, WalletChange
from readings.second_person import ChangeWay

REGISTRY = (Scope.REGISTRY,)
REFUSALS = problems(400, 404, 409, 413, 422)

WAITS = OpenApiResponse(
    OwnerSerializer,
    description="The wallet waits for a second person; all else is changed",
    examples=[OpenApiExample("waits", value=examples.WAITING_OWNER)],
)
LOCATION_OF_CHANGE = OpenApiParameter(
    "Location",
    {"type": "string", "format": "uri"},
    OpenApiParameter.HEADER,
    response=[202],
    description="Where the request is that waits.",
)


class OwnerFilter(django_filters.FilterSet):
    """Which owners."""

    user_id = django_filters.CharFilter()
    wallet = django_filters.CharFilter(method="filter_wallet", help_text="Theirs, now or before.")

    def filter_wallet(self, owners: QuerySet[Owner], _name: str, value: str) -> QuerySet[Owner]:
        """Those who have or had this address."""
        return owners.filter(id__in=Wallet.objects.filter(address=value).values("owner"))


class MeterFilter(django_filters.FilterSet):
    """Which meters."""

    serial = django_filters.CharFilter()
    owner = django_filters.CharFilter(
        method="filter_owner", help_text="The user_id of who holds them now."
    )

    def filter_owner(self, meters: QuerySet[Meter], _name: str, value: str) -> QuerySet[Meter]:
        """Those that this owner holds."""
        held = MeterAssignment.objects.filter(owner__user_id=value, ends_at=None)
        return meters.filter(id__in=held.values("meter"))


class OwnerList(ApiView, GenericAPIView):
    """All owners."""

    required_scopes = {"GET": REGISTRY, "POST": REGISTRY}
    session_permissions = {"GET": "readings.view_owner", "POST": "readings.add_owner"}
    serializer_class = OwnerSerializer
    pagination_class = KeysetPagination
    filterset_class = OwnerFilter
    # Ids are UUIDv7: their order is the order of registration, and they have the index.
    orderings = {"created_at": "id", "user_id": "user_id"}
    default_ordering = "-created_at"

    def get_queryset(self) -> QuerySet[Owner]:
        """With their wallets."""
        return _owners()

    @extend_schema(
        operation_id="owners_list",
        responses={JSON_OK: OwnerSerializer(many=True), **problems(400)},
    )
    def get(self, _request: Request) -> Response:
        """Lists owners, newest first."""
        page = self.paginate_queryset(self.filter_queryset(self.get_queryset()))
        return self.get_paginated_response(OwnerSerializer(page, many=True).data)

    @extend_schema(
        operation_id="owners_create",
        parameters=[*IDEMPOTENCY_KEY],
        request=OwnerRegistrationSerializer,
        responses={201: OwnerSerializer, **REFUSALS},
    )
    def post(self, request: Request) -> Response:
        """Registers an owner, with or without a wallet."""
        return _tell(request, "api:owner-detail", lambda: _register_owner(request))


class OwnerDetail(ApiView):
    """One owner."""

    required_scopes = {"GET": REGISTRY, "PATCH": REGISTRY}
    session_permissions = {"GET": "readings.view_owner", "PATCH": "readings.change_owner"}

    @extend_schema(
        operation_id="owners_retrieve", responses={200: OwnerSerializer, **problems(404)}
    )
    def get(self, _request: Request, row_id: UUID) -> Response:
        """Shows an owner and all wallets."""
        return Response(_told(_found(_owners(), row_id), OwnerSerializer))

    @extend_schema(
        operation_id="owners_update",
        parameters=[*IDEMPOTENCY_KEY, LOCATION_OF_CHANGE],
        request=OwnerChangeSerializer,
        responses={200: OwnerSerializer, 202: WAITS, **REFUSALS},
    )
    def patch(self, request: Request, row_id: UUID) -> Response:
        """Changes name, mail or wallet.

        A new wallet lets go what was held for want of one; batches that exist keep theirs. With
        four eyes on it waits for a second person: 202, with the request in `wallet_change` and its
        address in `Location`. The same again is told of the same request.
        """
        return _tell(request, "", lambda: _change_owner(request, row_id))


class MeterList(ApiView, GenericAPIView):
    """All meters."""

    required_scopes = {"GET": REGISTRY, "POST": REGISTRY}
    session_permissions = {"GET": "readings.view_meter", "POST": "readings.add_meter"}
    serializer_class = MeterSerializer
    pagination_class = KeysetPagination
    filterset_class = MeterFilter
    orderings = {"registered_at": "id", "serial": "serial"}
    default_ordering = "-registered_at"

    def get_queryset(self) -> QuerySet[Meter]:
        """With who holds them when."""
        return _meters()

    @extend_schema(
        operation_id="meters_list",
        responses={JSON_OK: MeterSerializer(many=True), **problems(400)},
    )
    def get(self, _request: Request) -> Response:
        """Lists meters, newest first."""
        page = self.paginate_queryset(self.filter_queryset(self.get_queryset()))
        return self.get_paginated_response(MeterSerializer(page, many=True).data)

    @extend_schema(
        operation_id="meters_create",
        parameters=[*IDEMPOTENCY_KEY],
        request=MeterRegistrationSerializer,
        responses={201: MeterSerializer, **REFUSALS},
    )
    def post(self, request: Request) -> Response:
        """Registers a meter, with or without an owner."""
        return _tell(request, "api:meter-detail", lambda: _register_meter(request))


class MeterDetail(ApiView):
    """One meter."""

    required_scopes = {"GET": REGISTRY, "PATCH": REGISTRY}
    session_permissions = {"GET": "readings.view_meter", "PATCH": "readings.change_meter"}

    @extend_schema(
        operation_id="meters_retrieve", responses={200: MeterSerializer, **problems(404)}
    )
    def get(self, _request: Request, row_id: UUID) -> Response:
        """Shows a meter and all who held it."""
        return Response(_told(_found(_meters(), row_id), MeterSerializer))

    @extend_schema(
        operation_id="meters_update",
        parameters=[*IDEMPOTENCY_KEY],
        request=MeterChangeSerializer,
        responses={200: MeterSerializer, **REFUSALS},
    )
    def patch(self, request: Request, row_id: UUID) -> Response:
        """Changes name, place, interval or who holds it.

        Readings keep the owner they came in for; such as had none get the new one.
        """
        return _tell(request, "", lambda: _change_meter(request, row_id))


# ------------------------------------------------------------------ what is asked, done


@transaction.atomic
def _register_owner(request: Request) -> Answer:
    values = _valid(request, OwnerRegistrationSerializer)
    address = values.pop("wallet_address", None)
    owner = intake.register_owner(**values)
    if address is not None:
        _change_wallet(request, owner, address)
    return Answer(201, _told(_found(_owners(), owner.id), OwnerSerializer))


@transaction.atomic
def _change_owner(request: Request, row_id: UUID) -> Answer:
    owner = _found(Owner.objects.select_for_update(no_key=True), row_id)
    changes = _valid(request, OwnerChangeSerializer, some=True)
    waits = False
    if "wallet_address" in changes:
        waits = _change_wallet(request, owner, changes.pop("wallet_address"))
    _save(owner, changes)
    return Answer(202 if waits else 200, _told(_found(_owners(), row_id), OwnerSerializer))


def _change_wallet(request: Request, owner: Owner, address: str | None) -> bool:
    """Whether it waits for a second person."""
    _require_session(request, "readings.add_wallet")
    by = caller(request)
    if address is None:
        intake.retire_wallet(owner=owner, by=by)
        return False
    asker = intake.Asker(by, ChangeWay.API)
    made = intake.register_wallet(owner=owner, address=address, asker=asker)
    return isinstance(made, WalletChange)


@transaction.atomic
def _register_meter(request: Request) -> Answer:
    values = _valid(request, MeterRegistrationSerializer)
    holding: dict[str, Any] = {
        name: values.pop(name) for name in ("owner", "owner_since") if name in values
    }
    meter = intake.register_meter(**values)
    if holding.get("owner") is not None:
        _change_holder(request, meter, holding)
    return Answer(201, _told(_found(_meters(), meter.id), MeterSerializer))


@transaction.atomic
def _change_meter(request: Request, row_id: UUID) -> Answer:
    meter = _found(Meter.objects.select_for_update(no_key=True), row_id)
    changes = _valid(request, MeterChangeSerializer, some=True)
    holding: dict[str, Any] = {
        name: changes.pop(name) for name in ("owner", "owner_since") if name in changes
    }
    if "owner" in holding:
        _change_holder(request, meter, holding)
    elif holding:
        raise InvalidRequest("owner_since says since when, and owner must say who")
    _save(meter, changes)
    return Answer(200, _told(_found(_meters(), row_id), MeterSerializer))


def _change_holder(request: Request, meter: Meter, holding: dict[str, Any]) -> None:
    _require_session(request, "readings.add_meterassignment")
    since = holding.get("owner_since") or timezone.now()
    if holding["owner"] is None:
        intake.unassign_meter(meter=meter, ends_at=since)
        return
    owner = Owner.objects.filter(user_id=holding["owner"]).first()
    if owner is None:
        raise UnknownOwner(holding["owner"])
    intake.assign_meter(meter=meter, owner=owner, starts_at=since)


def _save(row: Owner | Meter, changes: dict[str, Any]) -> None:
    for name, value in changes.items():
        setattr(row, name, value)
    if changes:
        row.save(update_fields=list(changes))


def _require_session(request: Request, permission: str) -> None:
    """As the admin asks it of a session for a row of its own; a token's scope covers it."""
    if not isinstance(request.auth, ApiToken) and not request.user.has_perm(permission):
        raise PermissionDenied(HasScope.message)


# ------------------------------------------------------------------ rows, and how they are told


def _owners() -> QuerySet[Owner]:
    newest_first = Wallet.objects.order_by("-registered_at", "-id")
    waiting = WalletChange.objects.proposed().select_related(
        "owner", "old_wallet", "proposed_by", "decided_by"
    )
    return Owner.objects.prefetch_related(
        Prefetch("wallets", newest_first), Prefetch("wallet_changes", waiting)
    )


def _meters() -> QuerySet[Meter]:
    newest_first = MeterAssignment.objects.select_related("owner").order_by("-starts_at")
    return Meter.objects.prefetch_related(Prefetch("assignments", newest_first))


def _found(rows: QuerySet[Any], row_id: UUID) -> Any:
    row = rows.filter(id=row_id).first()
    if row is None:
        raise NotFound(f"There is no {rows.model._meta.verbose_name} {row_id}")
    return row


def _told(row: Owner | Meter, serializer: type[Serializer]) -> dict[str, Any]:
    return dict(serializer(row).data)


def _valid(request: Request, serializer: type[Serializer], *, some: bool = False) -> dict[str, Any]:
    read: Serializer[Any] = serializer(data=request.data)
    read.is_valid(raise_exception=True)
    values: dict[str, Any] = dict(read.validated_data)
    if some and not values:
        raise InvalidRequest(f"Nothing changes: name one of {', '.join(read.fields)}")
    return values


def _tell(request: Request, location: str, make: Any) -> Response:
    answer = answer_once(request, make)
    headers = {}
    row_id = answer.data["id"]
    if answer.status == HTTPStatus.ACCEPTED:
        location, row_id = "api:wallet-change-detail", answer.data["wallet_change"]["id"]
    if location:
        path = reverse(location, kwargs={"row_id": row_id})
        headers["Location"] = request.build_absolute_uri(path)
    return Response(answer.data, status=answer.status, headers=headers)
