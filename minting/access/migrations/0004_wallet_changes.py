# Four eyes for changed wallets: who sees what waits, and who decides (docs/operations.md).

from django.db import migrations

from minting.access.groups import grant

SEES = ["readings.view_walletchange"]
DECIDES = [*SEES, "readings.approve_walletchange"]
GROUPS = {"Auditor": SEES, "Operator": SEES, "Approver": DECIDES, "Administrator": DECIDES}


def forward(apps, schema_editor):
    grant(apps, schema_editor.connection.alias, GROUPS)


class Migration(migrations.Migration):

    dependencies = [
        ('access', '0003_groups'),
        ('readings', '0007_wallet_changes'),
    ]

    operations = [
        migrations.RunPython(forward, migrations.RunPython.noop),
    ]
