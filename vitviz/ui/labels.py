"""Names that came from files or users, made safe to stand inside Streamlit's markdown."""

import re

_MARKDOWN = re.compile(r"([\\`*_{}\[\]()#+\-.!|~$:<>&^=@/])")
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028\u2029\u202a-\u202e\u2066-\u2069]")
# Streamlit looks for these in what markdown has left, escaped or not: web and mail addresses, its logo, arrows and dashes
_READ_LATER = re.compile(
    r"(?<=:)(?=//|streamlit:)|(?i:(?<=www)(?=\.))|(?=@)|(?<=-)(?=[->])|(?<=<)(?=-)|(?<=[<>~])(?==)"
)
_JOINER = "\u2060"  # no width, no break


def safe_label(text: str, *, max_length: int = 80) -> str:
    """``text`` with markdown, links, emoji codes and LaTeX taken literally, on one line, at most ``max_length`` long.

    Where escaping is not enough, a character without width stands between the two that would mean something.
    """
    line = _CONTROL.sub(" ", str(text)).strip()
    if len(line) > max_length:
        line = line[: max_length - 1] + "…"
    return _MARKDOWN.sub(r"\\\1", _READ_LATER.sub(_JOINER, line))
