"""Whether this machine can do what vitviz asks of it, and what to do where it cannot."""
