"""Speed and size against named rivals, measured in the same run: ``python -m benchmarks.NAME [--quick] [--json]``."""
