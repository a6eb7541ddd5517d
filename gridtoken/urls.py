"""Where requests go."""

from django.conf import settings
from django.contrib import admin
from django.templatetags.static import static
from django.urls import include, path
from django.utils.functional import lazy
from django.views.generic import RedirectView
from drf_spectacular.views import SpectacularAPIView, SpectacularRedocView, SpectacularSwaggerView

# What browsers ask for where a page names no icon; its digest is known when somebody asks.
icon = RedirectView.as_view(url=lazy(static, str)("minting/icon.svg"))
doors = [path("", include("minting.api.doors.urls"))] if settings.PLATFORM_DOORS else []
urlpatterns = [
    path("", RedirectView.as_view(pattern_name="admin:index")),
    path("favicon.ico", icon),
    path("admin/", include("gridtoken.login.urls")),
    path("admin/", admin.site.urls),
    path("api/schema/", SpectacularAPIView.as_view(), name="schema"),
    path("api/docs/", SpectacularSwaggerView.as_view(url_name="schema"), name="docs"),
    path("api/redoc/", SpectacularRedocView.as_view(url_name="schema"), name="redoc"),
    *doors,
    path("api/v1/", include("minting.api.urls")),
    path("", include("minting.api.health")),
    path("", include("minting.api.metrics")),
]
handler400 = "minting.api.problems.bad_request"
handler404 = "minting.api.problems.not_found"
handler500 = "minting.api.problems.server_error"
