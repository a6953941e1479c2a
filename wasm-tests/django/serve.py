"""An OpenID provider made of Django OAuth Toolkit, on a port, with a new database in a file, one user and one client. Takes the port,
the client's origin, ID and secret, the user's name and password, and its private key in PEM."""

import os
import sys

import django
from django.conf import settings

port, origin, client_id, client_secret, user, password, key = sys.argv[1:]
LOGIN_PAGE = "<form method=post>{% csrf_token %}{{ form.as_p }}<button>Log in</button></form>"

settings.configure(
    SECRET_KEY="only-for-tests",
    ALLOWED_HOSTS=["127.0.0.1"],
    ROOT_URLCONF="__main__",
    LOGIN_URL="/login/",
    USE_TZ=True,
    DATABASES={"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": f"{os.getcwd()}/django.sqlite"}},
    INSTALLED_APPS=[
        "django.contrib.auth",
        "django.contrib.contenttypes",
        "django.contrib.sessions",
        "django.contrib.messages",
        "oauth2_provider",
    ],
    MIDDLEWARE=[
        "django.contrib.sessions.middleware.SessionMiddleware",
        "django.middleware.csrf.CsrfViewMiddleware",
        "django.contrib.auth.middleware.AuthenticationMiddleware",
        "django.contrib.messages.middleware.MessageMiddleware",
    ],
    TEMPLATES=[{
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "OPTIONS": {
            "loaders": [
                ("django.template.loaders.locmem.Loader", {"login.html": LOGIN_PAGE}),
                "django.template.loaders.app_directories.Loader",
            ],
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
            ],
        },
    }],
    OAUTH2_PROVIDER={
        "OIDC_ENABLED": True,
        "OIDC_RP_INITIATED_LOGOUT_ENABLED": True,
        "OIDC_RSA_PRIVATE_KEY": key,
        "OAUTH2_VALIDATOR_CLASS": "__main__.Validator",
        "SCOPES": {"openid": "Who you are", "profile": "Your name", "email": "Your address", "groups": "Your groups"},
        "ACCESS_TOKEN_EXPIRE_SECONDS": 3600,
    },
)
django.setup()

from django.contrib.auth.models import Group, User  # noqa: E402, which need the settings
from django.contrib.auth.views import LoginView  # noqa: E402
from django.core.management import call_command  # noqa: E402
from django.urls import include, path  # noqa: E402
from oauth2_provider.models import get_application_model  # noqa: E402
from oauth2_provider.oauth2_validators import OAuth2Validator  # noqa: E402


class Validator(OAuth2Validator):
    """Its claims are what a project adds: it has none about the user but `sub`."""

    oidc_claim_scope = None

    def get_additional_claims(self, request):
        groups = [group.name for group in request.user.groups.all()]
        return {"preferred_username": request.user.username, "email": request.user.email, "groups": groups}


urlpatterns = [
    path("o/", include("oauth2_provider.urls", namespace="oauth2_provider")),
    path("login/", LoginView.as_view(template_name="login.html")),
]

call_command("migrate", verbosity=0)
alice = User.objects.create_user(user, "alice@example.com", password)
alice.groups.add(Group.objects.create(name="staff"))
get_application_model().objects.create(
    name="The app",
    client_id=client_id,
    client_secret=client_secret,
    client_type="confidential",
    authorization_grant_type="authorization-code",
    redirect_uris=f"{origin}/oauth2/callback",
    post_logout_redirect_uris=f"{origin}/oauth2/signed_out",
    algorithm="RS256",
)
call_command("runserver", f"127.0.0.1:{port}", use_reloader=False)
