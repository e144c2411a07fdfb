"""Act: one verb a file; gather, call the core, apply."""
