// Presenter mode: large type, no chrome, and the keys of a presenter's remote. Also the keys' listener alone.

const PRESENTER_STYLE = `
  [data-testid=stSidebar], [data-testid=stHeader], [data-testid=stSidebarCollapsedControl] { display: none !important; }
  [data-testid=stMainBlockContainer] { padding-top: 1.2rem !important; max-width: none !important; }
  .st-key-lesson_panel p, .st-key-lesson_panel li, .st-key-lesson_panel label { font-size: clamp(1.1rem, 1.75vw, 1.5rem) !important; line-height: 1.45 !important; }
  .st-key-lesson_panel [data-testid=stCaptionContainer] p { font-size: 1.1rem !important; }
  [data-testid=stMain] [data-testid=stCaptionContainer] p { font-size: 1.1rem; }
  @media (min-width: 800px) {
    .st-key-lesson_panel {
      position: fixed; inset: 1rem auto 1rem 1rem; width: 34vw !important; height: auto !important; overflow-y: auto;
    }
    [data-testid=stMainBlockContainer]:has(.st-key-lesson_panel) { padding-left: calc(34vw + 2.5rem) !important; }
  }
`;
const RUNNING = "[data-testid=stApp]:not([data-test-script-state=notRunning]), [data-testid=stSkeleton]";
const PATIENCE = 20_000;
const RESTS = 4; // looks in a row that find it drawn: a step may lead over another page
const FORWARD = new Set(["ArrowRight", "PageDown"]);
const BACK = new Set(["ArrowLeft", "PageUp"]);
const presenters = new WeakMap();
const steps = new WeakMap();

export default function presenter(component) {
  const { parentElement, data, setTriggerValue } = component;
  presenters.get(parentElement)?.();
  const style = element("style", { "data-vitviz": "presenter" }, PRESENTER_STYLE);
  if (data.presenting) document.head.append(style);
  const listen = (event) => {
    if (event.defaultPrevented || event.ctrlKey || event.metaKey || event.altKey || takesKeys(event)) return;
    if (data.presenting && event.key === "Escape") setTriggerValue("pressed", "leave");
    else if (data.presenting && FORWARD.has(event.key)) setTriggerValue("pressed", "next");
    else if (data.presenting && BACK.has(event.key)) setTriggerValue("pressed", "back");
    else return;
    event.preventDefault();
  };
  document.addEventListener("keydown", listen);
  if (data.presenting && data.step && steps.get(parentElement) !== data.step) showView();
  steps.set(parentElement, data.presenting ? data.step : "");
  const clean = () => {
    document.removeEventListener("keydown", listen);
    style.remove();
    if (presenters.get(parentElement) === clean) presenters.delete(parentElement); // a late one leaves the next in place
  };
  presenters.set(parentElement, clean);
  return clean;
}

/** Beside the lesson's text stands what it speaks of: once the page of a step is drawn, its view begins at the top of the screen. */
function showView() {
  const until = performance.now() + PATIENCE;
  let rested = 0;
  const look = () => {
    const view = document.querySelector(".st-key-view");
    const panel = document.querySelector(".st-key-lesson_panel");
    rested = document.querySelector(RUNNING) || !view || !panel ? 0 : rested + 1;
    if (rested < RESTS) {
      if (performance.now() < until) setTimeout(look, 100);
    } else if (getComputedStyle(panel).position === "fixed") view.scrollIntoView();
  };
  setTimeout(look, 100);
}

/** Whether what has the focus needs arrow keys itself: a text, a slider, a map. */
function takesKeys(event) {
  return event.composedPath().some((node) => {
    if (!(node instanceof Element)) return false;
    const role = node.getAttribute("role");
    return (
      /^(INPUT|TEXTAREA|SELECT)$/.test(node.tagName) ||
      node.isContentEditable ||
      ["slider", "radiogroup", "application", "listbox", "grid", "tablist"].includes(role) ||
      node.classList.contains("surface")
    );
  });
}
