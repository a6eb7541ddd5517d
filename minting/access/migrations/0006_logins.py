# Who sees logins, lets people in again and removes a lost second factor (docs/security.md).

from django.conf import settings
from django.db import migrations

from minting.access.groups import grant

VIEWS = ["axes.view_accessattempt", "axes.view_accesslog"]
GROUPS = {
    "Auditor": VIEWS,
    "Administrator": VIEWS + ["axes.delete_accessattempt", "mfa.delete_authenticator"],
}


def forward(apps, schema_editor):
    grant(apps, schema_editor.connection.alias, GROUPS)


class Migration(migrations.Migration):

    dependencies = [
        ('access', '0005_polling'),
        ('axes', '0010_accessattemptexpiration'),
        ('mfa', '0003_authenticator_type_uniq'),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [
        # Groups stay when the migration is undone: people may be in them.
        migrations.RunPython(forward, migrations.RunPython.noop),
    ]
