// Presenter mode: large type, no chrome, and the keys of a presenter's remote. Also the keys' listener alone.

const PRESENTER_STYLE = `
  [data-testid=stSidebar], [data-testid=stHeader], [data-testid=stSidebarCollapsedControl] { display: none !important; }
  [data-testid=stMainBlockContainer] { padding-top: 1.2rem !important; max-width: none !important; }
  .st-key-lesson_panel p, .st-key-lesson_panel li, .st-key-lesson_panel label { font-size: 1.5rem !important; line-height: 1.45 !important; }
  .st-key-lesson_panel [data-testid=stCaptionContainer] p { font-size: 1.1rem !important; }
  [data-testid=stMain] [data-testid=stCaptionContainer] p { font-size: 1.1rem; }
`;
const FORWARD = new Set(["ArrowRight", "PageDown"]);
const BACK = new Set(["ArrowLeft", "PageUp"]);
const presenters = new WeakMap();

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
  const clean = () => {
    document.removeEventListener("keydown", listen);
    style.remove();
    presenters.delete(parentElement);
  };
  presenters.set(parentElement, clean);
  return clean;
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
