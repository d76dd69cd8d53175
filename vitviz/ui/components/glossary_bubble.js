// What a term means, in a bubble beside it: under the pointer, on a tap, or by one button that the first Tab of a page reaches.
// As WCAG 1.4.13 asks, the bubble goes with Escape, can be pointed at, and stays until the pointer or the focus has left.

const BUBBLE_STYLE = `
  .vitviz-bubble { position: fixed; z-index: 1000001; max-width: min(22rem, calc(100vw - 16px)); padding: 8px 12px; border-radius: 8px; box-sizing: border-box;
    font-size: 13px; line-height: 1.45; color: var(--text); background: var(--paper);
    border: 1px solid color-mix(in srgb, var(--text) 30%, transparent); box-shadow: 0 4px 16px rgb(0 0 0 / 18%); }
  .vitviz-bubble[hidden], .vitviz-terms[hidden] { display: none; }
  .vitviz-bubble p { margin: 0 0 4px; font-size: 13px; }
  .vitviz-bubble p:last-child { margin: 0; }
  .vitviz-bubble code { display: block; margin: 0 0 4px; font-size: 12px; overflow-wrap: anywhere; color: var(--text); }
  .vitviz-bubble .quiet { color: color-mix(in srgb, var(--text) 72%, var(--paper)); }
  .vitviz-terms { position: fixed; z-index: 1000002; top: 8px; left: 8px; padding: 6px 12px; border-radius: 8px; font: inherit; font-size: 13px;
    color: var(--text); background: var(--paper); border: 1px solid var(--accent); outline: 2px solid var(--accent); text-align: left; }
  .vitviz-terms:not(:focus-visible) { clip-path: inset(50%); width: 1px; height: 1px; padding: 0; overflow: hidden; white-space: nowrap; pointer-events: none; }
  .vitviz-terms small { display: block; font-size: 12px; color: color-mix(in srgb, var(--text) 72%, var(--paper)); }
  .vitviz-told { position: fixed; clip-path: inset(50%); width: 1px; height: 1px; overflow: hidden; }
`;
const OPEN_AFTER = 120;
const CLOSE_AFTER = 250;
const LOOK_AFTER = 200;

/** Explain the terms of the glossary at `address` until the returned function is called; `source` has the theme's colours. */
function explainTerms(address, source) {
  if (!CSS.highlights || !address) return () => {};
  const ended = new AbortController();
  fetch(address, { signal: ended.signal })
    .then((answer) => (answer.ok ? answer.json() : Promise.reject(new Error(`glossary: ${answer.status}`))))
    .then((glossary) => new GlossaryBubble(glossary, source, ended.signal))
    .catch((error) => ended.signal.aborted || console.warn(String(error)));
  return () => ended.abort();
}

class GlossaryBubble {
  constructor(glossary, source, signal) {
    this.found = new GlossaryTerms(glossary);
    this.words = glossary.words;
    this.source = source;
    this.shown = this.last = this.over = this.awaited = this.dismissed = null;
    this.#build();
    this.#listen(signal);
    this.#watch(signal);
  }

  #build() {
    this.style = element("style", { "data-vitviz": "glossary" }, TERM_STYLE + BUBBLE_STYLE);
    this.bubble = element("div", { class: "vitviz-bubble", role: "tooltip", id: "vitviz-bubble", hidden: true });
    this.told = element("div", { class: "vitviz-told", role: "status" });
    this.button = button({ class: "vitviz-terms", hidden: true }, () => this.#step(1));
    document.head.append(this.style);
    document.body.prepend(this.button);
    document.body.append(this.bubble, this.told);
  }

  #listen(signal) {
    const listen = (target, kind, act, options = {}) => target.addEventListener(kind, act, { signal, ...options });
    listen(document, "pointermove", (event) => this.#point(event), { passive: true });
    listen(document, "click", (event) => this.#tap(event));
    listen(document, "keydown", (event) => this.#escape(event), { capture: true });
    listen(window, "scroll", () => this.#place(), { capture: true, passive: true });
    listen(window, "resize", () => this.#place());
    listen(this.button, "keydown", (event) => this.#walk(event));
    listen(this.button, "focus", () => this.#dress());
    listen(this.button, "blur", () => this.close());
  }

  /** Look for terms soon after the page has changed, when the browser has nothing better to do. */
  #watch(signal) {
    const whenIdle = window.requestIdleCallback ?? ((act) => setTimeout(act, 1));
    let waiting = 0;
    const look = () => {
      waiting = 0;
      if (!signal.aborted) this.#look();
    };
    const later = () => {
      waiting ||= setTimeout(() => whenIdle(look, { timeout: 1000 }), LOOK_AFTER);
    };
    const observer = new MutationObserver(later);
    observer.observe(document.body, { childList: true, subtree: true, characterData: true });
    later();
    signal.addEventListener("abort", () => {
      observer.disconnect();
      clearTimeout(waiting);
      this.#end();
    });
  }

  #look() {
    if (!this.found.look()) return;
    const count = this.found.terms.length;
    this.button.hidden = count === 0;
    const label = fill(this.words.button, { count });
    if (this.button.firstChild?.data !== label) this.button.replaceChildren(label, element("small", {}, this.words.keys));
    if (this.shown && !rectsOf(this.shown).length) this.close();
  }

  #point(event) {
    if (event.pointerType === "touch" || document.activeElement === this.button) return;
    const isOnBubble = this.bubble.contains(event.target);
    const term = isOnBubble ? this.shown : this.found.at(event.target, event.clientX, event.clientY);
    this.#mark(term && !isOnBubble ? event.target.closest("p, li") : null);
    if (term !== this.dismissed) this.dismissed = null;
    if (term === this.shown || term === this.dismissed || (!term && !this.shown)) this.#wait(null);
    else if (term) this.#wait(term, OPEN_AFTER, () => this.open(term));
    else this.#wait("close", CLOSE_AFTER, () => this.close());
  }

  /** The block whose term is under the pointer, for its cursor. */
  #mark(block) {
    if (block === this.over) return;
    this.over?.removeAttribute("data-vitviz-over-term");
    block?.setAttribute("data-vitviz-over-term", "");
    this.over = block;
  }

  /** One thing is waited for at a time, `what`; the same again does not begin anew, null waits for nothing. */
  #wait(what, delay, act) {
    if (what && what === this.awaited) return;
    clearTimeout(this.timer);
    this.awaited = what;
    if (!what) return;
    this.timer = setTimeout(() => {
      this.awaited = null;
      act();
    }, delay);
  }

  #tap(event) {
    if (event.composedPath().some((node) => node === this.bubble || node === this.button)) return;
    const term = this.found.at(event.target, event.clientX, event.clientY);
    if (term) this.open(term);
    else this.close();
  }

  #escape(event) {
    if (event.key !== "Escape" || !this.shown) return;
    event.stopPropagation();
    event.preventDefault();
    this.dismissed = this.shown; // and stays away until the pointer has left the term
    this.close();
  }

  #walk(event) {
    const steps = { ArrowRight: 1, ArrowDown: 1, ArrowLeft: -1, ArrowUp: -1 };
    if (!(event.key in steps)) return;
    event.preventDefault();
    event.stopPropagation();
    this.#step(steps[event.key]);
  }

  /** The next term of the page in reading order, or the one before; those in folded parts are passed over. */
  #step(by) {
    const terms = this.found.terms.filter((term) => rectsOf(term).length);
    if (!terms.length) return;
    const now = terms.indexOf(this.last);
    const at = now < 0 ? (by > 0 ? 0 : terms.length - 1) : (now + by + terms.length) % terms.length;
    this.last = terms[at];
    this.last.range.startContainer.parentElement.scrollIntoView({ block: "nearest" });
    this.open(this.last);
    const { name, text, formula, cited } = this.last.entry;
    const place = fill(this.words.place, { number: at + 1, count: terms.length });
    this.told.textContent = [`${name}:`, text, formula, cited, place].filter(Boolean).join(" ");
  }

  open(term) {
    const { name, also, text, formula, cited } = term.entry;
    this.shown = term;
    this.bubble.replaceChildren(
      element("p", {}, element("strong", {}, name), also ? element("span", { class: "quiet" }, ` · ${also}`) : ""),
      element("p", {}, text),
    );
    if (formula) this.bubble.append(element("code", {}, formula));
    if (cited) this.bubble.append(element("p", { class: "quiet" }, cited));
    this.#dress();
    this.bubble.hidden = false;
    CSS.highlights.set("vitviz-term-now", new Highlight(term.range));
    this.#place();
  }

  close() {
    this.#wait(null);
    this.shown = null;
    this.bubble.hidden = true;
    CSS.highlights.delete("vitviz-term-now");
  }

  /** Under the term, or over it where there is more room; gone when the term is scrolled out of sight. */
  #place() {
    if (!this.shown) return;
    const box = rectsOf(this.shown)[0];
    if (!box || box.bottom < 0 || box.top > window.innerHeight) return this.close();
    const { width, height } = this.bubble.getBoundingClientRect();
    const isBelow = box.bottom + height + 8 <= window.innerHeight || box.top < height + 8;
    const left = Math.max(8, Math.min(box.left, window.innerWidth - width - 8));
    this.bubble.style.left = `${left}px`;
    this.bubble.style.top = `${isBelow ? box.bottom + 4 : box.top - height - 4}px`;
  }

  /** Take over the theme's colours as they are now. */
  #dress() {
    const theme = getComputedStyle(this.source);
    const colors = { "--text": "--st-text-color", "--paper": "--st-background-color", "--accent": "--st-primary-color" };
    for (const made of [this.bubble, this.button]) {
      for (const [own, name] of Object.entries(colors)) made.style.setProperty(own, theme.getPropertyValue(name));
      made.style.setProperty("font-family", theme.getPropertyValue("--st-font"));
    }
  }

  #end() {
    this.close();
    this.found.clear();
    this.#mark(null);
    for (const made of [this.style, this.bubble, this.told, this.button]) made.remove();
  }
}
