"""The WSGI door: ``application``, for servers such as gunicorn."""

import os

from django.core.wsgi import get_wsgi_application

from gridtoken.web import pool_connections, read_whole

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "gridtoken.settings")
pool_connections()
application = read_whole(get_wsgi_application())
