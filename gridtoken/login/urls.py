"""Of allauth's pages those that staff need: no sign-up, no e-mail, no forgotten password."""

from allauth.mfa.recovery_codes.views import DownloadRecoveryCodesView
from django.urls import path

from gridtoken.login import views

urlpatterns = [
    path("login/", views.FirstStep.as_view(), name="account_login"),
    path("login/code/", views.SecondStep.as_view(), name="mfa_authenticate"),
    path("confirm/", views.PasswordAgain.as_view(), name="account_reauthenticate"),
    path("confirm/code/", views.CodeAgain.as_view(), name="mfa_reauthenticate"),
    path("confirm/key/", views.KeyAgain.as_view(), name="mfa_reauthenticate_webauthn"),
    path("second-factor/", views.Factors.as_view(), name="mfa_index"),
    path("second-factor/app/", views.Enrol.as_view(), name="mfa_activate_totp"),
    path("second-factor/app/remove/", views.RemoveApp.as_view(), name="mfa_deactivate_totp"),
    path("second-factor/codes/", views.Codes.as_view(), name="mfa_view_recovery_codes"),
    path("second-factor/codes/new/", views.NewCodes.as_view(), name="mfa_generate_recovery_codes"),
    path(
        "second-factor/codes/file/",
        DownloadRecoveryCodesView.as_view(template_name="login/codes.txt"),
        name="mfa_download_recovery_codes",
    ),
    path("second-factor/keys/add/", views.AddKey.as_view(), name="mfa_add_webauthn"),
    path(
        "second-factor/keys/<int:pk>/remove/", views.RemoveKey.as_view(), name="mfa_remove_webauthn"
    ),
]
