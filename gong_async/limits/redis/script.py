"""The Lua script `permits.lua`, which keeps the limits in Redis."""

from __future__ import annotations

from hashlib import sha1
from importlib.resources import files

SCRIPT = files("gong_async.limits.redis").joinpath("permits.lua").read_text(encoding="utf-8")

SHA = sha1(SCRIPT.encode(), usedforsecurity=False).hexdigest()
"""The digest by which Redis identifies the script."""
