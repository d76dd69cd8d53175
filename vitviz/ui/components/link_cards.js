// Cards that are links as a whole: a press goes through Streamlit, a new tab straight to the address.

const cardLists = new WeakMap();

export default function linkCards(component) {
  const { parentElement, data } = component;
  let list = cardLists.get(parentElement);
  if (!list) {
    list = { root: element("ul", {}) };
    parentElement.append(list.root);
    cardLists.set(parentElement, list);
  }
  list.component = component;
  const latest = JSON.stringify(data);
  if (list.latest !== latest) fillCards(list);
  list.latest = latest;
  return () => {
    if (parentElement.isConnected) return;
    list.root.remove();
    cardLists.delete(parentElement);
  };
}

function fillCards(list) {
  const { data } = list.component;
  list.root.className = `link-cards ${data.layout}`;
  list.root.setAttribute("aria-label", data.label);
  list.root.replaceChildren(...data.cards.map((card) => makeCard(card, list)));
  list.root.dataset.ready = "true";
}

/** The first link lies over the whole card; a second one lies above it. */
function makeCard(card, list) {
  const name = makeLink("main", card.address, list, card.label, element("span", { class: "arrow", "aria-hidden": "true" }, " →"));
  const words = element("div", { class: "words" }, name, element("p", {}, card.text));
  if (card.note) words.append(element("p", { class: "note" }, card.note));
  if (card.more) words.append(makeLink("more", card.more[0], list, card.more[1]));
  const made = element("li", {}, words);
  if (card.pictures.length) made.prepend(element("div", { class: "pictures" }, ...card.pictures.map(makePicture)));
  return made;
}

function makeLink(kind, address, list, ...children) {
  const link = element("a", { class: kind, href: address }, ...children);
  link.addEventListener("click", (event) => followLink(event, () => list.component.setTriggerValue("opened", address)));
  return link;
}

function makePicture({ url, alt, caption }) {
  return element("figure", {}, element("img", { src: url, alt }), element("figcaption", {}, caption));
}
