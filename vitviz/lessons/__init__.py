"""Lessons: guided tours over the real pages, as plain TOML files that a teacher can write."""
