# Who makes owners forgotten (docs/privacy.md).

from django.db import migrations

from minting.access.groups import grant

GROUPS = {"Administrator": ["readings.forget_owner"]}


def forward(apps, schema_editor):
    grant(apps, schema_editor.connection.alias, GROUPS)


class Migration(migrations.Migration):

    dependencies = [
        ('access', '0006_logins'),
        ('readings', '0008_forget_owner'),
    ]

    operations = [
        # Groups stay when the migration is undone: people may be in them.
        migrations.RunPython(forward, migrations.RunPython.noop),
    ]
