# Built concurrently: the tables are read and written meanwhile. What breaks off leaves an INVALID
# index behind, to be dropped before migrating again (docs/lists.md).

import django.contrib.postgres.indexes
import django.contrib.postgres.search
from django.conf import settings
from django.contrib.postgres.operations import AddIndexConcurrently, RemoveIndexConcurrently
from django.db import migrations, models


class Migration(migrations.Migration):

    atomic = False

    dependencies = [
        ('readings', '0001_initial'),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [
        AddIndexConcurrently(
            model_name='meter',
            index=django.contrib.postgres.indexes.GinIndex(django.contrib.postgres.search.SearchVector('name', 'location', config='simple'), name='meter_words'),
        ),
        AddIndexConcurrently(
            model_name='meterreading',
            index=models.Index(models.F('period_end'), models.F('id'), name='reading_by_period'),
        ),
        AddIndexConcurrently(
            model_name='meterreading',
            index=models.Index(models.F('status'), models.OrderBy(models.F('submitted_at'), descending=True), models.OrderBy(models.F('id'), descending=True), condition=models.Q(('status', 'minted'), _negated=True), name='reading_unminted'),
        ),
        AddIndexConcurrently(
            model_name='meterreading',
            index=models.Index(models.F('status'), models.F('period_end'), models.F('id'), condition=models.Q(('status', 'minted'), _negated=True), name='reading_unminted_by_period'),
        ),
        RemoveIndexConcurrently(
            model_name='meterreading',
            name='reading_by_status',
        ),
        AddIndexConcurrently(
            model_name='meterreading',
            index=models.Index(models.F('code'), models.OrderBy(models.F('submitted_at'), descending=True), models.OrderBy(models.F('id'), descending=True), condition=models.Q(('code', ''), _negated=True), name='reading_by_code'),
        ),
        AddIndexConcurrently(
            model_name='meterreading',
            index=models.Index(models.F('verification'), models.OrderBy(models.F('submitted_at'), descending=True), models.OrderBy(models.F('id'), descending=True), condition=models.Q(('verification', 'verified'), _negated=True), name='reading_by_verification'),
        ),
        AddIndexConcurrently(
            model_name='owner',
            index=models.Index(fields=['name', 'user_id'], name='owner_by_name'),
        ),
        AddIndexConcurrently(
            model_name='owner',
            index=models.Index(fields=['email'], name='owner_by_email', opclasses=['varchar_pattern_ops']),
        ),
        AddIndexConcurrently(
            model_name='owner',
            index=django.contrib.postgres.indexes.GinIndex(django.contrib.postgres.search.SearchVector('name', config='simple'), name='owner_words'),
        ),
        AddIndexConcurrently(
            model_name='wallet',
            index=models.Index(condition=models.Q(('retired_at', None), _negated=True), fields=['id'], name='wallet_retired'),
        ),
        AddIndexConcurrently(
            model_name='wallet',
            index=models.Index(condition=models.Q(('allow_off_curve', True)), fields=['id'], name='wallet_off_curve'),
        ),
    ]
