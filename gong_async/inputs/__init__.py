"""Input files of meeting updates. Start with `reader.py`; `text.py` and `xlsx.py` yield rows."""
