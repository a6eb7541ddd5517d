# The poller's switch: who mints may pause it and let it go on; who sees stops sees its pauses.

from django.db import migrations

from minting.access.groups import grant

SEES = ["minting.view_pollingpause"]
GROUPS = {
    "Auditor": SEES,
    "Operator": [*SEES, "minting.pause_polling"],
    "Approver": SEES,
    "Administrator": [*SEES, "minting.pause_polling"],
}


def forward(apps, schema_editor):
    grant(apps, schema_editor.connection.alias, GROUPS)


class Migration(migrations.Migration):

    dependencies = [
        ('access', '0004_wallet_changes'),
        ('minting', '0015_polling'),
    ]

    operations = [
        migrations.RunPython(forward, migrations.RunPython.noop),
    ]
