// The address bar: a copied link shows the same round and colours, and no server call is made for it.

class Address {
  constructor() {
    this.written = null;
    this.keep = () => this.apply();
    window.navigation?.addEventListener("currententrychange", this.keep);
  }

  /** Put values into the query of the page's address. */
  write(values) {
    this.written = { path: location.pathname, values };
    this.apply();
  }

  /** Also called when Streamlit rewrites the address from what Python last heard: our values go back in. */
  apply() {
    if (!this.written || location.pathname !== this.written.path) return;
    const address = new URL(location.href);
    for (const [name, value] of Object.entries(this.written.values)) address.searchParams.set(name, value);
    if (address.href !== location.href) history.replaceState(history.state, "", address);
  }

  release() {
    this.written = null;
    window.navigation?.removeEventListener("currententrychange", this.keep);
  }
}
