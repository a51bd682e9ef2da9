"""Input files as changes: CSV, JSONL and XLSX. Start reading at `reader.py`."""
