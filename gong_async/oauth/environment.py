"""The stored login of `gong-async login`, configured by the environment."""

from __future__ import annotations

from collections.abc import Mapping

from attrs import frozen

from gong_async._redact import Secret, hide_locals
from gong_async.errors import ConfigurationError
from gong_async.oauth.credential import APP_URL, OAuth
from gong_async.oauth.file_store import FileTokenStore, login_path

CLIENT_ID = "GONG_OAUTH_CLIENT_ID"
CLIENT_SECRET = "GONG_OAUTH_CLIENT_SECRET"  # noqa: S105 - a variable's name
_APP_URL = "GONG_OAUTH_URL"
_STRONGER = ("GONG_ACCESS_KEY", "GONG_ACCESS_KEY_SECRET", "GONG_BEARER_TOKEN")


@hide_locals
def login_from_env(environ: Mapping[str, str]) -> OAuth | None:
    """Return the stored login; None if another credential is set, or no application.

    Raises:
        ConfigurationError: half an application is set.
    """
    other = any(environ.get(name) for name in _STRONGER)
    application = _Application.read(environ)
    if other or not (application.client_id or application.client_secret):
        return None
    return application.oauth()


@hide_locals
def oauth_from_env(environ: Mapping[str, str]) -> OAuth:
    """Return the OAuth credential of the environment, with the login file of this user.

    Raises:
        ConfigurationError: it names none, or half of one.
    """
    return _Application.read(environ).oauth()


@frozen
class _Application:
    """The OAuth application as configured in the environment."""

    client_id: str
    client_secret: Secret | None
    app_url: str
    state_dir: str

    @classmethod
    def read(cls, environ: Mapping[str, str]) -> _Application:
        secret = environ.get(CLIENT_SECRET)
        return cls(
            environ.get(CLIENT_ID) or "",
            Secret(secret) if secret else None,
            environ.get(_APP_URL) or APP_URL,
            environ.get("GONG_STATE_DIR") or "",
        )

    def oauth(self) -> OAuth:
        if self.client_secret is None or not self.client_id:
            missing = CLIENT_SECRET if self.client_id else CLIENT_ID
            raise ConfigurationError(
                f"{missing} is not set; set {CLIENT_ID} and {CLIENT_SECRET} to those of your "
                "application at Gong"
            )
        # Not earlier: users of an access key need no state directory.
        store = FileTokenStore(login_path({"GONG_STATE_DIR": self.state_dir}))
        return OAuth(self.client_id, self.client_secret, store, app_url=self.app_url)
