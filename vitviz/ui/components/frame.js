// What Streamlit's own frame keeps from keyboards and screen readers, set on its elements as they come and go.

const LISTS = "[data-testid=stSidebarNavItems]";
const SECTION = "[data-testid=stNavSectionHeader]";
const SCROLLED = "[data-testid=stTable] > div, [data-testid=stCode] pre, pre";
const LINES = `
  html[lang=ko], html[lang=ko]:root body :is(h1, h2, h3, p, li, th, td, label, button, summary) {
    word-break: keep-all;
    overflow-wrap: break-word;
  }
  @media (max-width: 768px) {
    [data-testid=stExpandSidebarButton]::after { content: "Menu"; margin-left: 0.25rem; }
    html[lang=ko] [data-testid=stExpandSidebarButton]::after { content: "메뉴"; }
  }
  @media (min-width: 641px) {
    [data-testid=stMainBlockContainer]:has(.st-key-lesson_panel) { padding-top: 3rem; }
  }
  @media (max-width: 640px) {
    [data-testid=stMainBlockContainer] { padding-top: 4.25rem; }
    [data-testid=stMetric] > div { padding: 0.375rem 0.75rem 0.5rem; }
    [data-testid=stMetricValue], [data-testid=stMetricValue] > div { font-size: 1.375rem; line-height: 1.3; }
  }
  @media (hover: none) {
    .modebar-container { display: none; }
  }`;
const OWN_PHOTO = ".st-key-own_photo button";
const UPLOADER = "[data-testid=stSidebar] [data-testid=stFileUploader]";
const lines = new CSSStyleSheet();
const frames = new WeakMap();

export default function frame({ parentElement, data }) {
  speak(data.language);
  const outside = parentElement.getRootNode().host ?? parentElement;
  outside.closest("[data-testid=stElementContainer]")?.style.setProperty("display", "none");
  const known = frames.get(parentElement) ?? { unwatch: watch() };
  frames.set(parentElement, known);
  if (known.glossary !== data.glossary) {
    known.silence?.();
    known.silence = explainTerms(data.glossary, outside);
    known.glossary = data.glossary;
  }
  return () => {
    if (parentElement.isConnected) return;
    known.unwatch();
    known.silence();
    frames.delete(parentElement);
  };
}

/** A screen reader changes its voice, lines of Korean break between words, for which Streamlit's own rules are overruled, on a
    phone the arrows that unfold the sidebar have a word beside them and numbers leave room for the picture under them, above a
    lesson there is less room, and where no pointer hovers a chart's tools, which would stay over its legend, are gone: files are
    offered under it, two taps bring it back. */
function speak(language) {
  document.documentElement.lang = language;
  if (document.adoptedStyleSheets.includes(lines)) return;
  lines.replaceSync(LINES);
  document.adoptedStyleSheets.push(lines);
}

/** Mend now, and once a picture of the screen after whatever changes; returns what ends it. */
function watch() {
  let waiting = 0;
  const later = () => {
    waiting ||= requestAnimationFrame(() => {
      waiting = 0;
      mend();
    });
  };
  const observer = new MutationObserver(later);
  observer.observe(document.body, { childList: true, subtree: true });
  window.addEventListener("resize", later);
  document.addEventListener("click", leadToUploader);
  mend();
  return () => {
    cancelAnimationFrame(waiting);
    observer.disconnect();
    document.removeEventListener("click", leadToUploader);
    window.removeEventListener("resize", later);
  };
}

function mend() {
  for (const list of document.querySelectorAll(LISTS)) mendNavigation(list);
  for (const box of document.querySelectorAll(SCROLLED)) reachScrolled(box);
}

/** Sections lie as plain boxes in the list of pages: they become groups, each with a button that folds it. */
function mendNavigation(list) {
  if (!list.querySelector(SECTION)) return;
  list.setAttribute("role", "presentation");
  for (const item of list.querySelectorAll("li")) item.setAttribute("role", "presentation");
  for (const header of list.querySelectorAll(SECTION)) {
    const section = header.parentElement;
    section.setAttribute("role", "group");
    section.setAttribute("aria-label", header.innerText.split("\n")[0]);
    const name = header.firstElementChild;
    name.setAttribute("aria-expanded", String(Boolean(section.querySelector("li"))));
    if (name.tabIndex === 0) continue;
    name.setAttribute("role", "button");
    name.tabIndex = 0;
    name.addEventListener("keydown", press);
  }
}

function press(event) {
  if (event.key !== "Enter" && event.key !== " ") return;
  event.preventDefault();
  event.currentTarget.click();
}

/** What is wider than its box can be scrolled by arrow keys only when it can have the focus. */
function reachScrolled(box) {
  const isWider = box.scrollWidth > box.clientWidth + 1 || box.scrollHeight > box.clientHeight + 1;
  if (isWider && !box.hasAttribute("tabindex")) box.tabIndex = 0;
  if (!isWider && box.tabIndex === 0) box.removeAttribute("tabindex");
}

/** The button for one's own photo unfolds the sidebar where it is folded, and puts the focus on what takes a file. */
function leadToUploader(event) {
  if (!event.target.closest?.(OWN_PHOTO)) return;
  document.querySelector("[data-testid=stExpandSidebarButton]")?.click();
  const until = performance.now() + 3000;
  const look = () => {
    const box = document.querySelector(UPLOADER);
    const isSeen = box && box.getBoundingClientRect().left >= 0;
    if (!isSeen && performance.now() < until) return requestAnimationFrame(look);
    box?.scrollIntoView({ block: "center" });
    box?.querySelector("button")?.focus({ preventScroll: true });
  };
  requestAnimationFrame(look);
}
