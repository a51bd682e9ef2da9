"""The command `gong-async` (extra `cli`). Start reading at `app.py`."""
