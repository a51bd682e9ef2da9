"""The command `gong-async doctor`. Start reading at `command.py`."""
