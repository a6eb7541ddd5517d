# Built and dropped concurrently: the tables are read and written meanwhile. What breaks off leaves
# an INVALID index behind, to be dropped before migrating again (docs/lists.md).

import django.db.models.deletion
from django.contrib.postgres.operations import AddIndexConcurrently, RemoveIndexConcurrently
from django.db import migrations, models


def without_index(field, column, key):
    """Drops a foreign key's index alone: Django's own way would check the whole key again."""
    name = f"minting_mintresult_{column}_{key}"
    return migrations.SeparateDatabaseAndState(
        database_operations=[
            migrations.RunSQL(
                f'DROP INDEX CONCURRENTLY IF EXISTS "{name}"',
                f'CREATE INDEX CONCURRENTLY "{name}" ON minting_mintresult ({column})',
            )
        ],
        state_operations=[
            migrations.AlterField(
                model_name='mintresult', name=column.removesuffix('_id'), field=field
            )
        ],
    )


class Migration(migrations.Migration):

    atomic = False

    dependencies = [
        ('minting', '0004_idempotency'),
        ('readings', '0002_list_indexes'),
    ]

    operations = [
        RemoveIndexConcurrently(
            model_name='mintresult',
            name='result_signature',
        ),
        without_index(
            models.ForeignKey(db_index=False, on_delete=django.db.models.deletion.PROTECT, related_name='results', to='minting.mintbatch'),
            'batch_id',
            'b5e5a35f',
        ),
        without_index(
            models.ForeignKey(blank=True, db_index=False, null=True, on_delete=django.db.models.deletion.PROTECT, related_name='results', to='minting.mintslice'),
            'slice_id',
            'f0f9508f',
        ),
        AddIndexConcurrently(
            model_name='mintresult',
            index=models.Index(models.F('status'), models.OrderBy(models.F('id'), descending=True), condition=models.Q(('status', 'finalized'), _negated=True), name='result_not_final'),
        ),
        AddIndexConcurrently(
            model_name='mintresult',
            index=models.Index(condition=models.Q(('status__in', ['in_doubt', 'pending'])), fields=['slice'], name='result_open_in_slice'),
        ),
        AddIndexConcurrently(
            model_name='minttransaction',
            index=models.Index(models.F('status'), models.OrderBy(models.F('id'), descending=True), condition=models.Q(('status', 'finalized'), _negated=True), name='transaction_not_final'),
        ),
    ]
