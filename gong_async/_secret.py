"""A value that must never be seen: keys, secrets, tokens, signed headers."""

from __future__ import annotations

import hmac
from typing import Any, ClassVar, NoReturn

MASK = "***"


class Secret:
    """A string that shows nothing of itself in `repr`, `str`, `format`, `vars` or a pickle.

    It is not hashable: a hash would help to guess short secrets.
    """

    __slots__ = ("_value",)

    def __init__(self, value: str) -> None:
        self._value = value

    @classmethod
    def of(cls, value: str | Secret) -> Secret:
        """Wrap `value` unless it is wrapped already."""
        return value if isinstance(value, Secret) else cls(value)

    def reveal(self) -> str:
        """Return the value itself; call this only where it goes on the wire."""
        return self._value

    def __repr__(self) -> str:
        return f"Secret('{MASK}')"

    __str__ = __repr__

    def __format__(self, spec: str) -> str:
        return repr(self)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Secret):
            return NotImplemented
        mine, theirs = (one.reveal().encode(errors="surrogatepass") for one in (self, other))
        return hmac.compare_digest(mine, theirs)

    __hash__: ClassVar[None]  # type: ignore[assignment]

    def __reduce_ex__(self, protocol: Any) -> NoReturn:
        msg = "a secret cannot be pickled or copied out of this process"
        raise TypeError(msg)

    def __getstate__(self) -> NoReturn:
        msg = "a secret shows its state to nobody"
        raise TypeError(msg)

    def __copy__(self) -> Secret:
        return self

    def __deepcopy__(self, memo: object) -> Secret:
        return self


class PinnedSecret(Secret):
    """A signed header that belongs to one base URL, and must be sent to no other."""

    __slots__ = ("base_url",)

    def __init__(self, value: str, base_url: str) -> None:
        super().__init__(value)
        self.base_url = base_url


class MaskedHeader(str):
    """A header value that goes on the wire as it is and shows nothing when headers are printed."""

    __slots__ = ()

    def __repr__(self) -> str:
        return f"'{MASK}'"

    def __format__(self, spec: str) -> str:
        return MASK

    def __reduce_ex__(self, protocol: Any) -> NoReturn:
        msg = "a credential cannot be pickled"
        raise TypeError(msg)
