"""The commands below `gong-async bulk`. Start reading at `group.py`."""
