from django.contrib.postgres.operations import AddIndexConcurrently
from django.db import migrations, models


class Migration(migrations.Migration):
    # Built beside readings that go on coming in.
    atomic = False

    dependencies = [
        ('readings', '0003_imports'),
    ]

    operations = [
        AddIndexConcurrently(
            model_name='meterreading',
            index=models.Index(models.F('import_file'), models.OrderBy(models.F('submitted_at'), descending=True), models.OrderBy(models.F('id'), descending=True), condition=models.Q(('import_file__isnull', False)), name='reading_by_file'),
        ),
    ]
