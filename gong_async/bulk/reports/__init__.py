"""What can be read from a journal: groups, differences, exports, undo, purge, support bundle."""
