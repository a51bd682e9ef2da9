"""Who is calling: the credentials that Gong knows, and the protocol for any other.

Gong's page: https://help.gong.io/docs/receive-access-to-the-api
"""

from __future__ import annotations

import base64
from collections.abc import Iterable, Mapping
from typing import Protocol

from attrs import field, frozen

from gong_async._secret import Secret
from gong_async.errors import ConfigurationError


class Auth(Protocol):
    """What a client needs of a credential. Both methods may do I/O of their own."""

    @property
    def secrets(self) -> Iterable[Secret]:
        """Everything that must never be shown; foreign texts are searched for it."""
        ...

    async def authorization(self) -> Secret:
        """Return the value of the `Authorization` header for the next attempt."""
        ...

    async def renew(self, refused: Secret) -> bool:
        """Replace `refused`, a value that Gong answered with 401; say whether there is a new one."""
        ...


def _credential(name: str) -> object:
    def validate(_: object, __: object, value: Secret) -> None:
        text = value.reveal()
        if not text:
            raise ConfigurationError(f"{name} is empty")
        if not text.isascii() or not text.isprintable():
            problem = "a line break or a control character" if text.isascii() else "non-ASCII text"
            raise ConfigurationError(f"{name} holds {problem}; copy it again")
        if text != text.strip() or text[0] in "\"'" or text[-1] in "\"'":
            raise ConfigurationError(
                f"{name} begins or ends with a blank or a quote; copy it again"
            )

    return validate


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

    access_key: Secret = field(
        converter=Secret.of, validator=[_credential("access_key"), _access_key]
    )
    access_key_secret: Secret = field(
        converter=Secret.of, validator=_credential("access_key_secret")
    )

    @property
    def secrets(self) -> Iterable[Secret]:
        """Both parts, and the pair as it goes on the wire."""
        return (self._pair(), self.access_key, self.access_key_secret)

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

    token: Secret = field(converter=Secret.of, validator=_credential("token"))

    @property
    def secrets(self) -> Iterable[Secret]:
        """The token."""
        return (self.token,)

    async def authorization(self) -> Secret:
        """Return `Bearer` and the token."""
        return Secret("Bearer " + self.token.reveal())

    async def renew(self, refused: Secret) -> bool:
        """Return False: this token was given as it is."""
        return False


def auth_from_env(environ: Mapping[str, str]) -> BasicAuth | BearerAuth:
    """Return the credential that the environment holds.

    `GONG_ACCESS_KEY` and `GONG_ACCESS_KEY_SECRET`, or `GONG_BEARER_TOKEN`.

    Raises:
        ConfigurationError: none, half of one, or both are set.
    """
    key = environ.get("GONG_ACCESS_KEY")
    secret = environ.get("GONG_ACCESS_KEY_SECRET")
    token = environ.get("GONG_BEARER_TOKEN")
    if token and (key or secret):
        msg = "GONG_BEARER_TOKEN and GONG_ACCESS_KEY are both set; unset one of them"
        raise ConfigurationError(msg)
    if token:
        return BearerAuth(token)
    if key and secret:
        return BasicAuth(key, secret)
    missing = "GONG_ACCESS_KEY_SECRET" if key else "GONG_ACCESS_KEY"
    msg = f"{missing} is not set; set GONG_ACCESS_KEY and GONG_ACCESS_KEY_SECRET, or GONG_BEARER_TOKEN"
    raise ConfigurationError(msg)
