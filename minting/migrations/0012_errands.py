# The items of a selection get a key that is made of what they refer to, which no table can be
# altered to have: what nobody confirmed yet is to be selected anew.

import django.db.models.deletion
import uuid_utils.compat
from django.db import migrations, models

ABANDON = """
SET CONSTRAINTS ALL IMMEDIATE;
DELETE FROM minting_mintselection AS s
 WHERE NOT EXISTS (SELECT FROM minting_mintbatch WHERE selection_id = s.id);
SET CONSTRAINTS ALL DEFERRED
"""


class Migration(migrations.Migration):

    dependencies = [
        ('minting', '0011_batch_created'),
        ('readings', '0002_list_indexes'),
    ]

    operations = [
        migrations.DeleteModel(name='MintSelectionItem'),
        migrations.RunSQL(ABANDON, migrations.RunSQL.noop),
        migrations.AddField(
            model_name='mintselection',
            name='left_out',
            field=models.JSONField(blank=True, default=dict, help_text='Readings that matched and were not taken, by status.'),
        ),
        migrations.AddField(
            model_name='mintselection',
            name='size',
            field=models.PositiveIntegerField(default=0, help_text='Readings taken.'),
        ),
        migrations.CreateModel(
            name='MintSelectionItem',
            fields=[
                ('pk', models.CompositePrimaryKey('selection_id', 'reading_id', blank=True, editable=False, primary_key=True, serialize=False)),
                ('status', models.CharField(help_text='When it was selected.', max_length=10)),
                ('reading', models.ForeignKey(db_constraint=False, db_index=False, on_delete=django.db.models.deletion.DO_NOTHING, related_name='+', to='readings.meterreading')),
                ('selection', models.ForeignKey(db_constraint=False, db_index=False, on_delete=django.db.models.deletion.CASCADE, related_name='items', to='minting.mintselection')),
            ],
        ),
        migrations.CreateModel(
            name='Errand',
            fields=[
                ('id', models.UUIDField(default=uuid_utils.compat.uuid7, editable=False, primary_key=True, serialize=False)),
                ('kind', models.CharField(choices=[('preview', 'preview'), ('mint', 'mint'), ('release', 'release')], max_length=24)),
                ('status', models.CharField(choices=[('waiting', 'waiting'), ('running', 'running'), ('done', 'done'), ('failed', 'failed')], default='waiting', max_length=24)),
                ('wish', models.JSONField(blank=True, default=dict, help_text='What was asked for besides.')),
                ('done', models.PositiveIntegerField(default=0, help_text='Wallets or readings looked at.')),
                ('total', models.PositiveIntegerField(default=0, help_text='Of so many, once that is known.')),
                ('answer', models.JSONField(blank=True, null=True)),
                ('error_code', models.CharField(blank=True, max_length=40)),
                ('error', models.TextField(blank=True)),
                ('asked_at', models.DateTimeField(auto_now_add=True)),
                ('called_at', models.DateTimeField(blank=True, help_text='When a worker was last called.', null=True)),
                ('finished_at', models.DateTimeField(blank=True, null=True)),
                ('claim', models.UUIDField(blank=True, help_text='New with every claim: the fence.', null=True)),
                ('claimed_by', models.CharField(blank=True, max_length=120)),
                ('lease_until', models.DateTimeField(blank=True, null=True)),
                ('starts', models.PositiveSmallIntegerField(default=0, help_text='Claims since it was asked for.')),
                ('selection', models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='errands', to='minting.mintselection')),
            ],
            options={
                'indexes': [models.Index(condition=models.Q(('status', 'running')), fields=['claimed_by'], name='errand_running')],
                'constraints': [models.UniqueConstraint(fields=('selection', 'kind'), name='errand_once_a_selection'), models.CheckConstraint(condition=models.Q(models.Q(('claim__isnull', False), ('status', 'running')), models.Q(models.Q(('status', 'running'), _negated=True), ('claim__isnull', True)), _connector='OR'), name='errand_claimed_while_running'), models.CheckConstraint(condition=models.Q(models.Q(('status', 'failed'), _negated=True), models.Q(('error', ''), _negated=True), _connector='OR'), name='errand_failure_has_reason')],
            },
        ),
    ]
