# Built concurrently, as those of 0002 (docs/lists.md).

from django.contrib.postgres.operations import AddIndexConcurrently
from django.db import migrations, models


class Migration(migrations.Migration):

    atomic = False

    dependencies = [
        ('readings', '0005_backlog'),
    ]

    operations = [
        AddIndexConcurrently(
            model_name='meterreading',
            index=models.Index(models.F('kwh_amount'), name='reading_by_amount'),
        ),
    ]
