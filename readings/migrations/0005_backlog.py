# Built and dropped concurrently: the table is read and written meanwhile. What breaks off leaves an
# INVALID index behind, to be dropped before migrating again (docs/lists.md).

from django.contrib.postgres.operations import AddIndexConcurrently, RemoveIndexConcurrently
from django.db import migrations, models


class Migration(migrations.Migration):

    atomic = False

    dependencies = [
        ('readings', '0004_import_index'),
    ]

    operations = [
        AddIndexConcurrently(
            model_name='meterreading',
            index=models.Index(models.F('status'), models.F('period_end'), models.F('id'), condition=models.Q(('status', 'minted'), _negated=True), include=['code', 'kwh_amount'], name='reading_backlog'),
        ),
        RemoveIndexConcurrently(
            model_name='meterreading',
            name='reading_unminted_by_period',
        ),
    ]
