"""The WSGI door: ``application``, for servers such as gunicorn."""

import os

from django.core.wsgi import get_wsgi_application

from gridtoken.web import pool_connections, take_chunks

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "gridtoken.settings")
pool_connections()
application = take_chunks(get_wsgi_application())
