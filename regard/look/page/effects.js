"use strict";
/** The view "Is it an explanation?": the attention each source word gets, beside what the translation loses without it.
 *  What it needs of the page is handed in; `shown` gives the matrix on show, here the one that `load` made. */
const effectsView = ({ apart, bringIntoView, byId, current, element, inflate, languageOf, name, number, options, say, select, shown, state, where }) => {
  const FULL = 0.1; // nats: a bar is full at the largest effect on show, and never below this one
  const SMALL = 20, MANY = 80; // words from which shares need a digit more, and from which bars do not glide
  const loaded = new Map(); // by sentence
  let drawn = null; // the matrix whose source words the table has
  let rows = []; // of the table, by source word
  let order = "";
  let pointing = false; // at a row, which must not move then

  /** Attention and losses of a sentence as matrices (words of the translation, all words of the source), null where the
   *  page does not carry them, and of all words of the translation together. */
  async function load() {
    const { lines: { source, target }, effects } = current();
    if (!loaded.has(effects)) {
      const { attention, effect, kind, layer, head } = effects;
      const [roots, hundredths] = await Promise.all([effects.weights, effects.losses].map((each) => each && inflate(each)));
      const spread = (values, left) => spreadOver(source.special, values, left);
      loaded.set(effects, {
        kind, layer, head, unit: "words", sides: ["target", "source"],
        values: roots && spread(Array.from(new Uint8Array(roots), (root) => (root / 255) ** 2), (rest) => rest),
        losses: hundredths && spread(Array.from(new Int16Array(hundredths), (each) => each / 100), () => 0),
        attention: spread(attention, (rest) => rest), effect: spread(effect, () => 0),
        rows: target.words, columns: source.words, rowSpecial: target.special, columnSpecial: source.special,
      });
    }
    return loaded.get(effects);
  }
  /** Rows over the words that can be taken out as rows over all words; the end of the sentence gets what `left` makes
   *  of the rest to 1. */
  function spreadOver(special, values, left) {
    const all = [];
    for (let i = 0; i < values.length;) {
      const start = all.length;
      let rest = 1;
      for (const each of special) { all.push(each ? NaN : values[i]); if (!each) rest -= values[i++]; }
      special.forEach((each, c) => { if (each) all[start + c] = left(Math.max(rest, 0)); });
    }
    return Float32Array.from(all);
  }

  /** By source word: of the word of the translation that is chosen, or of all together. */
  function measures() {
    const { values, losses, attention, effect, columns } = shown(), first = state.row * columns.length;
    if (state.row < 0) return { attention, effect };
    return { attention: values.subarray(first, first + columns.length), effect: losses.subarray(first, first + columns.length) };
  }
  const nats = (value) => number(Math.round(value * 100) / 100 || 0).replace("-", "−"); // no "-0.00"; this minus is read out
  const quoted = (token) => `“${apart(name(token))}”`;
  const canBeTakenOut = (c) => !shown().columnSpecial[c];

  // ---- the table ----
  function draw() {
    drawn = shown();
    const { columns } = drawn, table = byId("effects");
    rows = columns.map((token, c) => {
      const row = element("tr", ""), word = element("th", name(token));
      word.scope = "row";
      word.id = `effects-word-${c}`;
      word.dir = "auto";
      word.lang = languageOf("source");
      word.title = name(token);
      const [share, attention] = measure("attention", c), [loss, effect] = measure("effect", c);
      row.append(share, word, loss);
      if (!canBeTakenOut(c)) row.className = "special";
      row.addEventListener("mouseenter", () => { pointing = true; select(state.row, c); pointing = false; });
      return { row, attention, effect };
    });
    table.tBodies[0].replaceChildren(...rows.map(({ row }) => row));
    table.classList.toggle("many", columns.length > MANY);
    // The layout is fixed: one that fits the words would be made anew whenever a number changes.
    table.tHead.rows[0].cells[1].style.width = `min(${Math.min(Math.max(...columns.map((token) => name(token).length), 9), 20) + 3}ch, 38%)`;
    byId("effects-box").scrollTop = 0;
    order = "";
    options(byId("effect-on"), [[-1, say("whole")], ...(drawn.values ? drawn.rows : []).map((token, r) => [r, `${r + 1}. ${apart(name(token))}`])], state.row);
    paint();
  }
  /** A cell with a bar and its number; the word they are of stands between the two cells, so it is named. */
  function measure(which, c) {
    const cell = element("td", ""), box = element("div", "", which), value = element("span", "", "value");
    const bar = element("span", "", "bar"), full = document.createElement("i");
    bar.append(full);
    box.append(...(which === "attention" ? [value, bar] : [bar, value]));
    cell.append(box);
    cell.setAttribute("headers", `effects-${which} effects-word-${c}`);
    return [cell, { value, full, side: which === "attention" ? "right" : "left", key: "" }];
  }

  function paint() {
    if (drawn !== shown()) return; // about to be drawn
    const { attention, effect } = measures(), most = Math.max(...attention);
    const least = Math.min(0, ...effect), span = Math.max(FULL, ...effect) - least;
    rows.forEach(({ row, attention: share, effect: loss }, c) => {
      set(share, number(attention[c], rows.length > SMALL ? 3 : 2), 0, attention[c] / most);
      set(loss, canBeTakenOut(c) ? nats(effect[c]) : say("stays"), (Math.min(effect[c], 0) - least) / span, Math.abs(effect[c]) / span);
      loss.full.className = effect[c] < 0 ? "gain" : "";
      if (c === state.column) row.setAttribute("aria-current", "true");
      else row.removeAttribute("aria-current");
    });
    byId("effects").style.setProperty("--zero", `${100 * -least / span}%`);
    sort(attention, effect);
    const word = state.row < 0 ? "" : quoted(shown().rows[state.row]), ofWord = word && shown().kind === "cross";
    byId("effects-attention-of").textContent = ofWord ? say("shareOf")(word) : say("share");
    byId("effects-attention-where").textContent = where();
    byId("effects-effect-of").textContent = word ? say("lossOf")(word) : say("loss");
    byId("effect-on").value = String(state.row);
    agreement(word);
    if (state.column >= 0 && !pointing) {
      const { top, bottom } = rows[state.column].row.getBoundingClientRect();
      bringIntoView(byId("effects-box"), { top, bottom }, byId("effects").tHead.offsetHeight);
    }
  }

  /** Show a number and its bar, from and of a share of the width; what stays as it is costs a long sentence no time. */
  function set(part, text, from, share) {
    const key = `${text} ${from.toFixed(4)} ${share.toFixed(4)}`;
    if (part.key === key) return;
    part.key = key;
    part.value.textContent = text;
    part.full.style[part.side] = `${100 * from}%`;
    part.full.style.width = `${100 * share}%`;
  }
  function sort(attention, effect) {
    const by = byId("effect-order").value, all = [...rows.keys()];
    if (by === "attention") all.sort((a, b) => attention[b] - attention[a]);
    if (by === "effect") all.sort((a, b) => canBeTakenOut(b) - canBeTakenOut(a) || effect[b] - effect[a]);
    if (all.join() === order) return; // rows that stay are not moved
    order = all.join();
    byId("effects").tBodies[0].append(...all.map((c) => rows[c].row));
  }

  // ---- in words ----
  function agreement(word) {
    const { correlation, correlations } = current().effects, found = word ? correlations[state.row] : correlation;
    const count = shown().columnSpecial.filter((special) => !special).length;
    const chance = Math.min(1, 1.96 / Math.sqrt(count - 1)); // ranks that have nothing to do with each other: 95 % within
    byId("meter").hidden = found === null;
    let text = say("noCorrelation");
    if (found !== null) {
      byId("meter-dot").style.left = `${50 + 50 * found}%`;
      byId("meter-chance").style.width = `${100 * chance}%`;
      const words = say(found >= 0.7 ? "agreeMostly" : found >= 0.3 ? "agreePart" : found > -0.3 ? "agreeHardly" : "agreeNot");
      text = `${say("correlation")} ${nats(found)}: ${words}${say(Math.abs(found) > chance ? "beyondChance" : "withinChance")(count, number(chance))}`;
    }
    text = word ? `${word} — ${text}` : text[0].toUpperCase() + text.slice(1);
    byId("agreement").textContent = text;
  }

  function times(loss) {
    const ratio = Math.exp(Math.abs(loss));
    if (ratio < 1.05) return say("asProbable");
    return `${ratio > 1e6 ? say("million") : number(ratio, ratio < 10 ? 1 : 0)} ${say(loss > 0 ? "less" : "more")}`;
  }
  function largest(values, tokens) {
    const least = Math.max(0.01, Math.max(...values) / 10); // what is far below the largest is not worth a word
    const found = [...tokens.keys()].filter((i) => values[i] >= least).sort((a, b) => values[b] - values[a]).slice(0, 3);
    return found.map((i) => `${apart(name(tokens[i]))} ${nats(values[i])}`).join(" · ");
  }
  /** What is said of the choice; "" where there is none. */
  function describe() {
    const { columns, rows: words, losses } = shown(), { row, column } = state, { effect } = measures();
    if (column < 0) {
      const found = row < 0 ? "" : largest(effect, columns);
      return found && `${say("losesMost")} ${found}`;
    }
    const word = quoted(columns[column]);
    if (!canBeTakenOut(column)) return `${word} ${say("stays")}`;
    const what = row < 0 ? say("theTranslation") : quoted(words[row]);
    const said = `${say("without")(word, what)} ${times(effect[column])} (${nats(effect[column])} nats)`;
    const found = row < 0 && losses ? largest(words.map((_, r) => losses[r * columns.length + column]), words) : "";
    return found ? `${said} — ${say("most")} ${found}` : said;
  }

  // ---- choices ----
  byId("effect-on").addEventListener("change", (event) => select(Number(event.target.value), -1, { follows: true }));
  byId("effect-order").addEventListener("change", () => { paint(); byId("effects-box").scrollTop = 0; });
  byId("effects-box").addEventListener("mouseleave", () => select(state.row, -1));
  byId("effects-box").addEventListener("keydown", (event) => {
    const by = { ArrowDown: [0, 1], ArrowUp: [0, -1], ArrowRight: [1, 0], ArrowLeft: [-1, 0] }[event.key];
    if (event.key === "Escape") select(-1, -1);
    if (!by) return;
    event.preventDefault();
    const inOrder = order.split(",").map(Number), place = inOrder.indexOf(state.column) + by[1];
    const row = Math.min(Math.max(state.row + by[0], -1), shown().rows.length - 1);
    select(row, by[1] ? inOrder[Math.min(Math.max(place, 0), inOrder.length - 1)] : state.column, { follows: true });
  });

  return { load, draw, paint, describe };
};
