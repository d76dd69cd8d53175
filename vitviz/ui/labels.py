"""Names that came from files or users, made safe to stand inside Streamlit's markdown."""

import re

_MARKDOWN = re.compile(r"([\\`*_{}\[\]()#+\-.!|~$:<>&^=@/])")
_CONTROL = re.compile(r"[\x00-\x1f\x7f\u2028\u2029\u202a-\u202e\u2066-\u2069]")


def safe_label(text: str, *, max_length: int = 80) -> str:
    """``text`` with markdown, links, emoji codes and LaTeX taken literally, on one line, at most ``max_length`` long."""
    line = _CONTROL.sub(" ", str(text))
    if len(line) > max_length:
        line = line[: max_length - 1] + "…"
    return _MARKDOWN.sub(r"\\\1", line)
