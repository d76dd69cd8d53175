"""Named image sets, safe decoding of images, seeded batches, device choice."""
