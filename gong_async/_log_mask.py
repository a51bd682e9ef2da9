"""The second line of defence: whatever is logged in our name is masked, whoever wrote it."""

from __future__ import annotations

import logging
from weakref import WeakSet

from gong_async._redaction import Redactor


class LogMask(logging.Filter):
    """Masks the secrets of all clients that live, in messages and in tracebacks."""

    def __init__(self) -> None:
        super().__init__()
        self.redactors: WeakSet[Redactor] = WeakSet()

    def filter(self, record: logging.LogRecord) -> bool:
        """Let every record pass, without the secrets in it."""
        message = record.getMessage()
        masked = self._mask(message)
        if masked != message:
            record.msg, record.args = masked, ()
        if record.exc_info and not record.exc_text:
            # Handlers show this text in place of making one of their own.
            record.exc_text = self._mask(logging.Formatter().formatException(record.exc_info))
        return True

    def _mask(self, text: str) -> str:
        for redact in list(self.redactors):
            text = redact.mask(text)
        return text


def mask_log(redact: Redactor) -> None:
    """Mask the secrets that `redact` knows in our log, for as long as it lives."""
    logger = logging.getLogger("gong_async")
    mask = next((known for known in logger.filters if isinstance(known, LogMask)), None)
    if mask is None:
        mask = LogMask()
        logger.addFilter(mask)
    mask.redactors.add(redact)
