"""One file for each family of Gong's operations."""
