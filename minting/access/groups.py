"""Rights under names: what the migrations that make the groups share.

A migration grants, and never takes away: what an installation made of a group stays.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from django.contrib.auth.management import create_permissions

Rights = Mapping[str, Sequence[str]]
"""Group, and its permissions as ``app.codename``."""


def grant(apps: Any, alias: str, groups: Rights) -> None:
    """Makes the groups that are missing, and adds the rights that they lack.

    Args:
        apps: A migration's; its models as they are at that point.
        alias: The database.
        groups: Names and rights.

    Raises:
        LookupError: There is no such permission: a misspelt name must not pass as granted.
    """
    granted = {right for rights in groups.values() for right in rights}
    _make_permissions(apps, alias, {right.split(".")[0] for right in granted})
    permissions = {
        f"{each.content_type.app_label}.{each.codename}": each
        for each in apps.get_model("auth", "Permission")
        .objects.using(alias)
        .select_related("content_type")
    }
    for name, rights in groups.items():
        if missing := sorted(set(rights) - permissions.keys()):
            raise LookupError(f"Group {name}: there is no permission {', '.join(missing)}")
        group, _ = apps.get_model("auth", "Group").objects.using(alias).get_or_create(name=name)
        group.permissions.add(*(permissions[right] for right in rights))


def grant_along(apps: Any, alias: str, *, held: str, also: str) -> None:
    """Whoever holds one right, as a person or as a group, gets another: a right was divided."""
    rights = [right.split(".") for right in (held, also)]
    _make_permissions(apps, alias, {label for label, _ in rights})
    find = apps.get_model("auth", "Permission").objects.using(alias).get
    old, new = (find(content_type__app_label=label, codename=name) for label, name in rights)
    for group in old.group_set.all():
        group.permissions.add(new)
    for user in old.user_set.all():
        user.user_permissions.add(new)


def _make_permissions(apps: Any, alias: str, labels: set[str]) -> None:
    """Django makes permissions after all migrations, which is too late for one that grants them."""
    for label in sorted(labels):
        config = apps.get_app_config(label)
        # A migration's applications have no module, and would be passed over.
        config.models_module = getattr(config, "models_module", None) or True
        create_permissions(config, verbosity=0, using=alias, apps=apps)
