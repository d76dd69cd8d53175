"""A model and data to a run, one record at a time."""
