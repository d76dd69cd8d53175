// Where the glossary's terms stand in the prose of a page. Text is never changed, since React owns it: terms are ranges over its
// text nodes, and the browser draws their line (CSS Custom Highlight API). Where that is missing nothing is found.

const PROSE = ":is([data-testid=stMarkdown], [data-testid=stCaptionContainer], [data-testid=stAlertContainer]) :is(p, li)";
const NO_PROSE = "a, button, code, pre, label, summary, .katex, h1, h2, h3, h4, h5, h6, [data-testid=stSidebar]";
const TERM_STYLE = `
  ::highlight(vitviz-term) { text-decoration: underline dotted 1px; }
  [data-testid=stMain] ${PROSE} { text-underline-offset: 0.25em; }
  ::highlight(vitviz-term-now) { text-decoration: underline solid 2px; background-color: color-mix(in srgb, currentColor 14%, transparent); }
  [data-vitviz-over-term], [data-vitviz-over-term] * { cursor: help; }
`;
const MOST_BLOCKS = 400;
const FEWEST_WORDS = 4; // fewer are a label, as "round 3" under a picture

/** Finds the terms of `glossary` in the document; `blocks` is what was found last, `terms` all of it in reading order. */
class GlossaryTerms {
  constructor(glossary) {
    this.glossary = glossary;
    this.pattern = new RegExp(glossary.pattern, "gu");
    this.blocks = new Map();
    this.terms = [];
  }

  /** Look again: blocks whose text nodes are still the same keep what was found. Returns whether anything has changed. */
  look() {
    const page = pageName();
    const found = new Map();
    const prose = page === "glossary" ? [] : document.querySelectorAll(`[data-testid=stMain] ${PROSE}`);
    for (const block of [...prose].slice(0, MOST_BLOCKS)) {
      const texts = textsOf(block);
      const known = this.blocks.get(block);
      found.set(block, known && isSame(known.texts, texts) ? known : { texts, terms: this.#find(texts, page) });
    }
    const isNews = found.size !== this.blocks.size || [...found].some(([block, one]) => this.blocks.get(block) !== one);
    this.blocks = found;
    if (isNews) this.#draw();
    return isNews;
  }

  /** The term under a point of the screen, if `target` lies in prose. */
  at(target, x, y) {
    const block = target instanceof Element ? target.closest("p, li") : null;
    const terms = this.blocks.get(block)?.terms ?? [];
    return terms.find((term) => this.terms.includes(term) && rectsOf(term).some((box) => isInside(box, x, y)));
  }

  clear() {
    this.blocks = new Map();
    this.#draw();
  }

  /** The first time of each term in a block; of those {@link #draw} takes the first of the page. */
  #find(texts, page) {
    const terms = new Map();
    const whole = texts.map((one) => one.text).join("");
    if (whole.trim().split(/\s+/).length < FEWEST_WORDS) return [];
    for (const { node, text } of texts) {
      for (const match of text.matchAll(this.pattern)) {
        const entry = this.#meaning(match[0], page);
        if (entry && !terms.has(entry)) terms.set(entry, rangeTerm(entry, node, match.index, match[0].length));
      }
    }
    return [...terms.values()];
  }

  #meaning(written, page) {
    const plain = written.replace(/\s+/g, " ");
    const places = this.glossary.forms[plain] ?? this.glossary.forms[plain[0].toLowerCase() + plain.slice(1)] ?? [];
    const meant = places.map((place) => this.glossary.terms[place]);
    return meant.find((entry) => !entry.only.length || entry.only.includes(page));
  }

  #draw() {
    const first = new Map();
    for (const term of [...this.blocks.values()].flatMap((block) => block.terms)) {
      if (!first.has(term.entry)) first.set(term.entry, term);
    }
    this.terms = [...first.values()];
    CSS.highlights.set("vitviz-term", new Highlight(...this.terms.map((term) => term.range)));
  }
}

function rangeTerm(entry, node, start, length) {
  const range = new StaticRange({ startContainer: node, startOffset: start, endContainer: node, endOffset: start + length });
  return { entry, range };
}

/** The boxes of a term on the screen, none when its text is gone or hidden. */
function rectsOf(term) {
  const { startContainer: node, startOffset, endOffset } = term.range;
  if (!node.isConnected || endOffset > node.length) return [];
  const range = document.createRange();
  range.setStart(node, startOffset);
  range.setEnd(node, endOffset);
  return [...range.getClientRects()];
}

function isInside(box, x, y) {
  return x >= box.left - 1 && x <= box.right + 1 && y >= box.top - 2 && y <= box.bottom + 2;
}

/** The text nodes of a block that are prose of its own, each with what it says now. */
function textsOf(block) {
  const texts = [];
  const walker = document.createTreeWalker(block, NodeFilter.SHOW_TEXT);
  for (let node = walker.nextNode(); node; node = walker.nextNode()) {
    const parent = node.parentElement;
    if (parent.closest("p, li") === block && !parent.closest(NO_PROSE)) texts.push({ node, text: node.data });
  }
  return texts;
}

function isSame(before, now) {
  return before.length === now.length && before.every((one, at) => one.node === now[at].node && one.text === now[at].text);
}

function pageName() {
  return location.pathname.split("/").pop() || "home";
}
