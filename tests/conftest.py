"""Every test process computes on one thread: workers share the cores, and the bits of a sum depend on its threads."""

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")
