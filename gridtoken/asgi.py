"""The ASGI door: ``application``, for servers such as uvicorn."""

import os

from django.core.asgi import get_asgi_application

from gridtoken.web import pool_connections

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "gridtoken.settings")
pool_connections()
application = get_asgi_application()
