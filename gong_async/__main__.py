"""The command `gong-async`, also as `python -m gong_async`."""

from __future__ import annotations

import os
import sys


def main() -> int:
    """Run the command line and return its exit code."""
    _open_standard_files()
    try:
        from gong_async.cli.app import app  # noqa: PLC0415 - click is an extra
    except ModuleNotFoundError as error:
        if error.name != "click":
            raise
        from gong_async._distribution.install import install_command  # noqa: PLC0415 - only then

        advice = f"install it with: {install_command('cli')}"
        sys.stderr.write(f"gong-async: the command line needs the extra cli; {advice}\n")
        return 2
    return int(app.main(prog_name="gong-async", standalone_mode=False))


def _open_standard_files() -> None:
    """Open what was closed at the start: a file of ours in its place would be written to."""
    for descriptor in range(3):
        try:
            os.fstat(descriptor)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # gets the lowest free number


if __name__ == "__main__":
    sys.exit(main())
