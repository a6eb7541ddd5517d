# Ready-made groups (docs/operations.md). Rights are only added: on an installation that has a group
# of the same name already, it keeps what it has.

from django.conf import settings
from django.db import migrations

from minting.access.groups import grant, grant_along

READINGS = ["owner", "wallet", "meter", "meterassignment", "meterreading", "importfile"]
MINTING = [
    "mintbatch", "mintresult", "minttransaction", "mintinfo", "mintingstop", "reconcilerun",
    "reconcilefinding", "mintapproval",
]
VIEWS = [f"readings.view_{each}" for each in READINGS] + [f"minting.view_{each}" for each in MINTING]
ACCESS_VIEWS = [
    "access.view_apitoken", "access.view_apicall", "auth.view_user", "auth.view_group",
    "auditlog.view_logentry", "minting.view_webhookendpoint", "minting.view_webhookdelivery",
]
GROUPS = {
    "Auditor": VIEWS + ACCESS_VIEWS,
    "Operator": VIEWS + [
        "minting.mint_readings", "readings.release_meterreading", "minting.stop_minting",
        "readings.import_readings",
    ],
    "Approver": VIEWS + ["minting.approve_batch"],
    "Administrator": VIEWS + ACCESS_VIEWS + [
        "minting.mint_readings", "minting.approve_batch", "minting.stop_minting",
        "minting.resume_minting", "minting.acknowledge_finding", "minting.manage_webhooks",
        "readings.import_readings",
        "readings.release_meterreading", "readings.correct_meterreading",
        "readings.add_meterreading",
        "readings.add_owner", "readings.change_owner", "readings.delete_owner",
        "readings.add_meter", "readings.change_meter", "readings.delete_meter",
        "readings.add_wallet", "readings.add_meterassignment",
        "access.add_apitoken", "access.delete_apitoken",
        "auth.add_user", "auth.change_user", "auth.delete_user",
        "auth.add_group", "auth.change_group", "auth.delete_group",
    ],
}


def forward(apps, schema_editor):
    alias = schema_editor.connection.alias
    # Until now one right stopped and resumed: who holds it keeps both.
    grant_along(apps, alias, held="minting.stop_minting", also="minting.resume_minting")
    grant(apps, alias, GROUPS)


class Migration(migrations.Migration):

    dependencies = [
        ('access', '0002_tokens_calls_rates'),
        ('auditlog', '0017_add_actor_email'),
        ('auth', '0012_alter_user_first_name_max_length'),
        ('contenttypes', '0002_remove_content_type_name'),
        ('minting', '0013_cancel_requested_by'),
        ('readings', '0006_amounts'),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [
        # Groups stay when the migration is undone: people may be in them.
        migrations.RunPython(forward, migrations.RunPython.noop),
    ]
