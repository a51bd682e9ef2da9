"""Many items, one operation: bounded, ordered where it matters, and every outcome told."""
