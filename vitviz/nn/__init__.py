"""Tensors to tensors: the networks, and the token clustering inside them."""
