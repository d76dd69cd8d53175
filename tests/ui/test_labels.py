"""Names from files inside Streamlit's markdown: what is escaped, what is cut, and what a real browser makes of it."""

from pathlib import Path

import pytest

from vitviz.ui.labels import safe_label

HOSTILE = (
    "[click](https://evil.example/a)",
    "![x](https://evil.example/b.png)",
    "$\\frac{1}{2}$ and $$x^2$$",
    ":smile: :material/home: :streamlit: :+1:",
    ":red[boo] :blue-background[x] :small[y] :shortcut[k]",
    "<img src=https://evil.example/c.png onerror=alert(1)><b>x</b>",
    "https://evil.example/d www.evil.example WWW.evil.example mail@evil.example",
    "mailto:x@evil.example xmpp:foo@evil.example <https://evil.example/f>",
    "**bold** _it_ ~~no~~ `code` ==mark== H~2~O",
    "# head",
    "1. item",
    "- item",
    "> quote",
    "| a | b |",
    "    indented",
    "[ref]: https://evil.example/e",
    "[x] todo [^1]",
    "&lt;b&gt; &amp; &#60;",
    "-> <- -- >= <= ~=",
    "\\[escaped\\](https://evil.example/g)",
)
READ_AS_MARKDOWN = (
    *("markdown", "bold markdown", "caption", "error", "metric", "button", "slider", "toggle", "subheader", "expander"),
    *("image caption", "segmented control", "progress", "table"),
)
RESTED = "[data-testid=stApp][data-test-script-state=notRunning]"
WHAT_BECAME_OF_IT = """
group => [...group.querySelectorAll("[data-testid=stMarkdownContainer], [data-testid=stCaptionContainer]")].map(text => ({
  tags: [...text.querySelectorAll(":not(p, strong, div, h3, span)")].map(one => one.tagName),
  text: text.innerText,
}))
"""
# the app rests before the browser has drawn its last element
STANDS_TWICE = "([place, name]) => document.querySelector(place).innerText.split(name).length > 2"
ALL_ARE_DRAWN = f"""
selector => ({WHAT_BECAME_OF_IT})(document.querySelector(selector))
  .filter(one => !["0", "1"].includes(one.text)).length >= {len(READ_AS_MARKDOWN)}
"""

POINTS_ELSEWHERE = """
group => [...group.querySelectorAll("a, img:not([src^='data:']), iframe, .katex")].map(one => one.outerHTML)
"""


@pytest.mark.parametrize("name", ["cat", "T shirt", "Größe 7", "鳥", "3", "it's", "Ærø, 50 %"])
def test_a_plain_name_stays_as_it_is(name):
    assert safe_label(name) == name


@pytest.mark.parametrize("sign", list("\\`*_{}[]()#+-.!|~$:<>&^=/"))
def test_every_sign_of_markdown_is_escaped(sign):
    assert safe_label(f"a{sign}b") == f"a\\{sign}b"


def test_a_name_stays_on_one_line_and_reads_from_left_to_right():
    assert safe_label("a\nb\r\tc\x00d\u2028e\x85f") == "a b  c d e f"
    assert safe_label("cat\u202egpj.exe\u2066\u200f") == "cat gpj\\.exe"


def test_a_name_that_turns_to_nothing_is_no_code_block():
    assert safe_label("      print") == "print"
    assert safe_label(" \n ") == ""


def test_a_long_name_is_cut_before_it_is_escaped():
    assert safe_label("x" * 81) == "x" * 79 + "…"
    assert safe_label("*" * 500, max_length=5) == "\\*" * 4 + "…"
    assert safe_label("x" * 80) == "x" * 80


def test_what_is_no_text_is_written_out():
    assert safe_label(7) == "7"


@pytest.mark.browser
def test_streamlit_shows_every_hostile_name_literally_and_asks_nobody_for_it(serve, page):
    hosts = set()
    page.on("request", lambda request: hosts.add(request.url.split("/")[2]))
    here = Path(__file__).parent
    server = serve(here / "label_app.py", PYTHONPATH=str(here.parents[1]))
    page.goto(server.address)
    page.wait_for_selector(RESTED)
    page.wait_for_selector(f".st-key-literal{len(HOSTILE) - 1}")
    for index, name in enumerate(HOSTILE):
        page.wait_for_function(ALL_ARE_DRAWN, arg=f".st-key-name{index}")
        parts = page.locator(f".st-key-name{index}").evaluate(WHAT_BECAME_OF_IT)
        texts = [one["text"].replace("\u2060", "") for one in parts if one["text"] not in ("0", "1")]
        assert texts == [name.strip()] * len(READ_AS_MARKDOWN)
        assert [tag for one in parts for tag in one["tags"]] == [], name
        for group in ("name", "literal"):
            assert page.locator(f".st-key-{group}{index}").evaluate(POINTS_ELSEWHERE) == []
        page.wait_for_function(STANDS_TWICE, arg=[f".st-key-literal{index}", name.strip()])
    assert hosts == {server.address.removeprefix("http://")}
