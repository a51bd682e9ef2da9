"""Validation of email addresses: RFC 5321 and 6531, without forms that no mail system accepts."""

from __future__ import annotations

import re
import unicodedata

_ATOM = r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+"
_LABEL = r"(?!-)[A-Za-z0-9-]{1,63}(?<!-)"
USUAL_EMAIL = re.compile(rf"{_ATOM}(?:\.{_ATOM})*@{_LABEL}(?:\.{_LABEL})*", re.ASCII)
"""Matches nearly all addresses up to `LONGEST_USUAL` characters; others are checked below."""
LONGEST_USUAL = 64
"""Short enough that no length limit can be exceeded."""
_ASCII_LABEL = re.compile(_LABEL, re.ASCII)
_ATOM_CHARACTERS = frozenset(
    "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789!#$%&'*+/=?^_`{|}~-."
)
_IP_ADDRESS = re.compile(
    r"\[(?:[0-9]{1,3}(?:\.[0-9]{1,3}){3}|IPv6:[0-9A-Fa-f:]+(?::[0-9.]+)?)\]", re.ASCII
)
_LONGEST_LOCAL = 64
_LONGEST = 254
_LONGEST_LABEL = 63
_WITHOUT_PREFIX = _LONGEST_LABEL - len("xn--")
_INVISIBLE = re.compile(
    "[\u034f\u115f\u1160\u17b4\u17b5\u180b-\u180f\u2800\u3164\ufe00-\ufe0f\uffa0\U000e0000-\U000e0fff]"
)
"""Characters without a picture that are letters, marks or symbols by their category."""
_PUNCTUATION_OF_WORDS = frozenset("\u00b7\u05f3\u05f4\u30fb")
"""What RFC 5892 allows in words of Catalan, Hebrew and Japanese."""


def email_problem(address: str) -> str:
    """Return why this is not an email address; an empty string if it is one.

    The address itself is not in it: what is refused may be shown in logs.
    """
    if len(address) <= LONGEST_USUAL and USUAL_EMAIL.fullmatch(address):
        return ""
    local, at, domain = address.partition("@")
    return (
        _character_problem(address)
        or _shape_problem(address)
        or ("expected exactly one @" if not at or "@" in domain else "")
        or ("nothing stands before or after the @" if not local or not domain else "")
        or _length_problem(local, address)
        or _local_problem(local)
        or _domain_problem(domain)
    )


def _character_problem(address: str) -> str:
    """Return a problem with invisible characters, or with look-alikes of punctuation."""
    for position, character in enumerate(address):
        if "!" <= character <= "~":
            continue
        category = unicodedata.category(character)
        if character.isspace() or category == "Cc":
            return f"blank or control character at position {position}"
        if category[0] in "CZ" or _INVISIBLE.match(character):
            return f"invisible character U+{ord(character):04X} at position {position}"
        if category[0] == "P" and character not in _PUNCTUATION_OF_WORDS:
            return f"the character U+{ord(character):04X} at position {position} is in no address"
    return ""


def _shape_problem(address: str) -> str:
    """Return a problem with characters that surround or separate addresses."""
    if address[:7].lower() == "mailto:":
        return "leave out 'mailto:'"
    if "<" in address or ">" in address:
        return "expected the address alone, without a name and without < and >"
    if address.count("@") > 1 and ("," in address or ";" in address):
        return "several addresses; expected one"
    for separator in ",;":
        if separator in address:
            return f"{separator!r} separates addresses and is in none"
    return ""


def _length_problem(local: str, address: str) -> str:
    if len(local.encode()) > _LONGEST_LOCAL:
        return f"more than {_LONGEST_LOCAL} bytes before the @"
    return f"more than {_LONGEST} bytes" if len(address.encode()) > _LONGEST else ""


def _local_problem(local: str) -> str:
    if len(local) > 2 and local[0] == local[-1] == '"':  # noqa: PLR2004 - both quotes
        local = local[1:-1]  # quotes allow dots anywhere
    elif local[0] == "." or local[-1] == "." or ".." in local:
        return "a dot at an end of the part before the @, or two dots in a row"
    for character in local:
        if character.isascii() and character not in _ATOM_CHARACTERS:
            return f"{character!r} before the @"
    return ""


def _domain_problem(domain: str) -> str:
    if _IP_ADDRESS.fullmatch(domain):
        return ""
    for label in domain.split("."):
        if not label:
            return "a dot at an end of the part after the @, or two dots in a row"
        if label.isascii():
            fine = _ASCII_LABEL.fullmatch(label) is not None
        else:
            fine = _is_international_label(label)
        if not fine:
            return "a name after the @ is not made of 1 to 63 letters, digits and inner hyphens"
    return ""


def _is_international_label(label: str) -> bool:
    plain = (character for character in label if character.isascii())
    return (
        all(character.isalnum() or character == "-" for character in plain)
        and label[0] != "-" != label[-1]
        and unicodedata.category(label[0])[0] != "M"
        and len(label.encode("punycode")) <= _WITHOUT_PREFIX
    )
