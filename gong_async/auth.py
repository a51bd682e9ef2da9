"""Who is calling: the credentials that Gong knows, and the protocol for any other.

Gong's page: https://help.gong.io/docs/receive-access-to-the-api
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Iterable, Mapping
from typing import Any, Protocol

from attrs import Attribute, field, frozen

from gong_async._secret import Secret
from gong_async.errors import ConfigurationError


class Auth(Protocol):
    """What a client needs of a credential. Both methods may do I/O of their own.

    Clients with the same base URL and `fingerprint` share one company's limits.
    """

    @property
    def secrets(self) -> Iterable[Secret]:
        """Everything that must never be shown; foreign texts are searched for it."""
        ...

    @property
    def fingerprint(self) -> str:
        """What tells one company's credential from another's, without showing it."""
        ...

    async def authorization(self) -> Secret:
        """Return the value of the `Authorization` header for the next attempt."""
        ...

    async def renew(self, refused: Secret) -> bool:
        """Replace `refused`, which Gong answered with 401; say whether there is a new one."""
        ...


def _secret(value: str | Secret) -> Secret:
    return Secret.of(value)


def _credential(_: object, attribute: Attribute[Any], value: Secret) -> None:
    # Judged in a function of its own: this frame is shown in tracebacks, and holds no plain text.
    if problem := _problem(value):
        raise ConfigurationError(f"{attribute.name} {problem}")


def _problem(value: Secret) -> str:
    text: object = value.reveal()
    if not isinstance(text, str):
        return f"must be text, not {type(text).__name__}"
    if not text:
        return "is empty"
    if not text.isascii():
        return "holds non-ASCII text; copy it again"
    if not text.isprintable():
        return "holds a line break or a control character; copy it again"
    if text != text.strip() or text[0] in "\"'" or text[-1] in "\"'":
        return "begins or ends with a blank or a quote; copy it again"
    return ""


def _access_key(_: object, __: object, value: Secret) -> None:
    if ":" in value.reveal():
        problem = "access_key holds a ':'; give key and secret apart"
        raise ConfigurationError(problem)


@frozen
class BasicAuth:
    """An API access key: HTTP Basic, RFC 7617.

    Raises:
        ConfigurationError: one of the two cannot be a credential. The value is never shown.
    """

    access_key: Secret = field(converter=_secret, validator=[_credential, _access_key])
    access_key_secret: Secret = field(converter=_secret, validator=_credential)

    @property
    def secrets(self) -> Iterable[Secret]:
        """Both parts, and the pair as it goes on the wire."""
        return (self._pair(), self.access_key, self.access_key_secret)

    @property
    def fingerprint(self) -> str:
        """The beginning of the SHA-256 of the access key; the secret has no part in it."""
        return _fingerprint(self.access_key)

    async def authorization(self) -> Secret:
        """Return `Basic` and the encoded pair."""
        return Secret("Basic " + base64.b64encode(self._pair().reveal().encode()).decode())

    async def renew(self, refused: Secret) -> bool:
        """Return False: an access key cannot be renewed by a program."""
        return False

    def _pair(self) -> Secret:
        return Secret(f"{self.access_key.reveal()}:{self.access_key_secret.reveal()}")


@frozen
class BearerAuth:
    """An access token from Gong's OAuth: `Bearer`, RFC 6750.

    Raises:
        ConfigurationError: this cannot be a token. The value is never shown.
    """

    token: Secret = field(converter=_secret, validator=_credential)

    @property
    def secrets(self) -> Iterable[Secret]:
        """The token."""
        return (self.token,)

    @property
    def fingerprint(self) -> str:
        """The beginning of the SHA-256 of the token."""
        return _fingerprint(self.token)

    async def authorization(self) -> Secret:
        """Return `Bearer` and the token."""
        return Secret("Bearer " + self.token.reveal())

    async def renew(self, refused: Secret) -> bool:
        """Return False: this token was given as it is."""
        return False


def _fingerprint(secret: Secret) -> str:
    return hashlib.sha256(secret.reveal().encode()).hexdigest()[:16]


def auth_from_env(environ: Mapping[str, str]) -> BasicAuth | BearerAuth:
    """Return the credential that the environment holds.

    `GONG_ACCESS_KEY` and `GONG_ACCESS_KEY_SECRET`, or `GONG_BEARER_TOKEN`.

    Raises:
        ConfigurationError: none, half of one, or both are set.
    """
    key = _from_env(environ, "GONG_ACCESS_KEY")
    secret = _from_env(environ, "GONG_ACCESS_KEY_SECRET")
    token = _from_env(environ, "GONG_BEARER_TOKEN")
    del environ  # a traceback shows the locals of every frame
    if token and (key or secret):
        msg = "GONG_BEARER_TOKEN and GONG_ACCESS_KEY are both set; unset one of them"
        raise ConfigurationError(msg)
    if token:
        return BearerAuth(token)
    if key and secret:
        return BasicAuth(key, secret)
    missing = "GONG_ACCESS_KEY_SECRET" if key else "GONG_ACCESS_KEY"
    raise ConfigurationError(
        f"{missing} is not set; "
        "set GONG_ACCESS_KEY and GONG_ACCESS_KEY_SECRET, or GONG_BEARER_TOKEN"
    )


def _from_env(environ: Mapping[str, str], name: str) -> Secret | None:
    value = environ.get(name)
    return Secret(value) if value else None
