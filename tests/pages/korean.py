"""What a page still says in English when Korean is chosen."""

import json
import re
from collections.abc import Collection, Iterator

from streamlit.testing.v1 import AppTest

from vitviz.runs.folder import shipped_root

ROUTER = shipped_root().parent / "vitviz" / "ui" / "router.py"

_SPOKEN = (
    *("label", "body", "help", "placeholder", "options", "caption", "captions", "alt", "text", "value"),
    *("delta", "title", "header", "subtitle", "message", "name"),
)
_SPOKEN_IN_JSON = (
    *("text", "name", "hovertemplate", "label", "note", "words", "alt", "labels", "ticktext"),
    *("id_text", "id_texts", "step_texts", "heat_title", "display_text"),
)
_HANGUL = re.compile(r"[가-힣]")
_WORD = re.compile(r"[A-Za-z][a-z]{2,}")
_RUN_OF_WORDS = re.compile(r"(?:\b[A-Za-z]{2,}[ ,:]+){3,}[A-Za-z]{2,}")
# code, links' targets, addresses, icons, file names, names of things with a hyphen or underscore
_NO_WORDS = re.compile(
    r"`[^`]*`|\]\([^)]*\)|\b\w+\?\w+=\S*|:material/\w+:|\b[\w.-]*[_./-][\w./-]*\b|\$[^$]*\$|<[^>]*>|%?\{[^}]*\}"
)


def untranslated(app: AppTest, *, names: Collection[str] = ()) -> list[str]:
    """Texts on the page with English in them: three words in a row, or no Hangul and a word that is none of ``names``."""
    return sorted({text for text in _texts(app) if _is_english(text, {name.lower() for name in names})})


def _is_english(text: str, names: set[str]) -> bool:
    plain = _NO_WORDS.sub(" ", text.replace("\\", ""))
    for name in sorted(names, key=len, reverse=True):
        plain = re.sub(rf"\b{re.escape(name)}\b", " ", plain, flags=re.IGNORECASE)
    if _RUN_OF_WORDS.search(plain):
        return True
    return not _HANGUL.search(plain) and bool(_WORD.search(plain))


def _texts(app: AppTest) -> Iterator[str]:
    for block in app._tree.children.values():
        for node in block:
            proto = getattr(node, "proto", None)
            kind = getattr(node, "type", "")
            if proto is None or kind in ("code", "json"):
                continue
            if kind == "plotly_chart":
                yield from _spoken_json(json.loads(proto.spec or proto.figure.spec or "{}"))
                yield proto.alt
            elif kind in ("dataframe", "table"):
                yield from _cells(node)
            elif kind == "bidi_component":
                yield from _spoken_json(json.loads(proto.json or "{}")) if proto.json else ()
            else:
                yield from _strings(proto)


def _cells(node) -> Iterator[str]:
    """The names of a table's columns and how Streamlit is told to show them; of one that is read and not sorted its cells."""
    yield from map(str, node.value.columns)
    yield from _spoken_json(json.loads(getattr(node.proto, "columns", "") or "{}"))
    yield from _strings(node.proto)
    if node.type == "table":
        yield from (cell for name in node.value.columns for cell in node.value[name] if isinstance(cell, str))


def _strings(proto) -> Iterator[str]:
    for field, value in proto.ListFields():
        repeated = not isinstance(value, str | bytes) and hasattr(value, "__len__") and not hasattr(value, "ListFields")
        for one in value if repeated else (value,):
            if isinstance(one, str):
                if field.name in _SPOKEN:
                    yield one
            elif hasattr(one, "ListFields"):
                yield from _strings(one)


def _spoken_json(value, *, spoken: bool = False) -> Iterator[str]:
    if isinstance(value, dict):
        for key, one in value.items():
            yield from _spoken_json(one, spoken=key in _SPOKEN_IN_JSON or (spoken and isinstance(one, str)))
    elif isinstance(value, list):
        for one in value:
            yield from _spoken_json(one, spoken=spoken)
    elif spoken and isinstance(value, str):
        yield from value.split("<br>")


def open_korean(page: str, **query: str) -> AppTest:
    """A page as a Korean link shows it; ``query`` as bound widgets write it in Korean."""
    app = AppTest.from_file(ROUTER, default_timeout=120)
    app.query_params["lang"] = "KO"
    app.run()
    app.switch_page(f"../../pages/{page}.py")
    app.query_params.update({"lang": "KO", **query})
    app.run()
    assert not app.exception, f"{page} {query}: {app.exception}"
    return app
