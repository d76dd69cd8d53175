// Values of every point that colour the map, fetched when they are first needed: of all rounds at once, or round by round.

const COLUMNS = { margin: "all rounds", stability: "all rounds", trust: "one round", continuity: "one round" };

class Columns {
  /** `addresses` has `margin_url` and the like; `arrived` is called when values have come, `mayAsk` says whether to fetch now. */
  constructor(map, addresses, arrived, mayAsk) {
    Object.assign(this, { map, addresses, arrived, mayAsk, found: new Map() });
  }

  /** The bytes of a column at a round, or null while they are on their way or could not be had. */
  get(name, round) {
    if (!this.found.has(this.keyOf(name, round)) && this.mayAsk()) this.fetch(name, round);
    return this.peek(name, round);
  }

  /** The same without asking for them. */
  peek(name, round) {
    const found = this.found.get(this.keyOf(name, round));
    if (!found?.values) return null;
    return COLUMNS[name] === "one round" ? found.values : roundOf(this.map, found.values, round);
  }

  keyOf(name, round) {
    return COLUMNS[name] === "one round" ? `${name} ${round}` : name;
  }

  async fetch(name, round) {
    const entry = { values: null };
    this.found.set(this.keyOf(name, round), entry);
    const rounds = COLUMNS[name] === "one round" ? 1 : this.map.numRounds;
    const address = this.addresses[`${name}_url`].replace("{round}", String(round));
    entry.values = await fetchColumn(address, { ...this.map, numRounds: rounds }).catch(() => null);
    if (entry.values) this.arrived();
  }
}
