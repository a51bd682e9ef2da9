"""The commands below `gong-async bulk`. `../app.py` lists them."""
