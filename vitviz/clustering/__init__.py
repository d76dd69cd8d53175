"""Embeddings or affinities to labels, scores and maps (images of a data set)."""
