"""Canaille on a port, with an empty database in a file, one user and one client. Its own commands do all of it, in one process:
each loads for two seconds. Takes the port, the client's origin, ID and secret, the user's name and password, and its key as a JWK."""

import json
import os
import sys

port, origin, client_id, client_secret, user, password, key = sys.argv[1:]
os.environ |= {
    "SECRET_KEY": "only-for-tests",
    "SERVER_NAME": f"127.0.0.1:{port}",
    "PREFERRED_URL_SCHEME": "http",
    "SESSION_COOKIE_SECURE": "false",
    "CANAILLE__DATABASE": "sql",
    "CANAILLE__JAVASCRIPT": "false",
    "CANAILLE__HTMX": "false",
    "CANAILLE_SQL__DATABASE_URI": f"sqlite:///{os.getcwd()}/canaille.sqlite",
    "CANAILLE_OIDC__ACTIVE_JWKS": json.dumps([json.loads(key) | {"kid": "of-canaille"}]),
}

from canaille.commands import cli  # noqa: E402, which reads the environment


def run(*arguments):
    cli.main(arguments, standalone_mode=False)


def options(name, *values):
    return [argument for value in values for argument in (f"--{name}", value)]


run("install")
run(
    *("create", "user", "--quiet", "--user-name", user, "--password", password, "--formatted-name", "Alice Example"),
    *("--given-name", "Alice", "--family-name", "Example", "--emails", "alice@example.com"),
)
run(
    *("create", "client", "--quiet", "--client-id", client_id, "--client-secret", client_secret, "--client-name", "The app"),
    *options("redirect-uris", f"{origin}/oauth2/callback"),
    *options("post-logout-redirect-uris", f"{origin}/oauth2/signed_out"),
    *options("grant-types", "authorization_code", "refresh_token"),
    *options("scope", "openid", "email", "profile", "groups"),
    *options("response-types", "code"),
    *options("token-endpoint-auth-method", "client_secret_basic"),
)
# The client must exist to be an audience, also of its own ID tokens.
run("set", "client", "--quiet", client_id, "--audience", client_id)
# No worker processes, which would outlive this one.
run("run", "--workers", "0", "--bind", f"127.0.0.1:{port}")
