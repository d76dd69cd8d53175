// Links within the app: a plain press keeps the session, any other is the browser's.

/** Call `go` for a plain press of a link instead of loading the whole app anew. */
function followLink(event, go) {
  if (event.button !== 0 || event.ctrlKey || event.metaKey || event.shiftKey || event.altKey) return;
  event.preventDefault();
  go();
}
