"""A model or a run to dataclasses of numpy arrays."""
