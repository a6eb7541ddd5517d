from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('minting', '0013_cancel_requested_by'),
    ]

    operations = [
        migrations.AddIndex(
            model_name='minttransaction',
            index=models.Index(condition=models.Q(('finalized_at__isnull', False)), fields=['finalized_at'], name='transaction_by_end'),
        ),
    ]
