"use strict";
(() => {
  const data = JSON.parse(document.getElementById("data").textContent);
  const byId = (id) => document.getElementById(id);
  const LARGE = 80; // words from which the table shows only the heaviest of a row, and two columns take more than one page
  const PAPER = 680; // pixels of a style's 96 an inch: A4 and Letter upright, with the margins that browsers leave

  const state = { sentence: 0, kind: "", layer: -1, head: -1, unit: "words", scale: "one", row: -1, column: -1, tab: "matrix" };
  let language = (navigator.language || "en").toLowerCase().startsWith("pt") ? "pt" : "en";
  let shown = null; // the matrix on show: {values, rows, columns, rowSpecial, columnSpecial}, what it is of, and its sides
  const isEffects = () => Boolean(shown.effect); // not by the tab: a choice takes a moment to be shown
  let timer = 0, printing = false;
  const still = matchMedia("(prefers-reduced-motion: reduce)");

  // An encoder's page has a source alone, a language model's a target alone.
  const missing = ["source", "target"].find((side) => !data.sentences[0].lines[side].words.length);
  if (missing) {
    for (const words of Object.values(TEXTS)) Object.assign(words, missing === "target" ? words.alone : words.written);
    for (const id of [`${missing}-name`, missing]) byId(id).hidden = true;
  }
  const say = (key) => TEXTS[language][key];
  const formats = new Map(); // making one takes longer than using it
  function number(value, digits = 2) {
    const key = `${language} ${digits}`;
    if (!formats.has(key)) formats.set(key, new Intl.NumberFormat(language, { minimumFractionDigits: digits, maximumFractionDigits: digits }));
    return formats.get(key).format(value);
  }

  // ---- weights ----
  const inflated = new Map();
  async function block(sentence, kind, layer) {
    const key = `${sentence} ${kind} ${layer}`;
    if (!inflated.has(key)) {
      inflated.set(key, (async () => {
        const found = data.sentences[sentence].blocks.find((each) => each.kind === kind && each.layer === layer);
        const roots = new Uint8Array(await inflate(found.data));
        const values = new Float32Array(roots.length);
        for (let i = 0; i < roots.length; i++) values[i] = (roots[i] / 255) ** 2;
        return { ...found, values };
      })());
    }
    return inflated.get(key);
  }
  async function inflate(text) {
    const bytes = Uint8Array.from(atob(text), (character) => character.charCodeAt(0));
    return new Response(new Blob([bytes]).stream().pipeThrough(new DecompressionStream("deflate"))).arrayBuffer();
  }

  const layersOf = (kind) => current().blocks.filter((each) => each.kind === kind).map((each) => each.layer);
  const current = () => data.sentences[state.sentence];
  const MEAN = -1; // in the place of a layer or head
  const someHeads = data.carried ? data.carried.heads : null; // in the order of their block; null: all are carried
  const headName = (head) => (head === MEAN ? say("mean") : `${head + 1}`);
  const SIDES = { cross: ["target", "source"], encoder: ["source", "source"], decoder: ["target", "read"] };

  async function matrixOf(kind, layer, head, unit) {
    const [rowLine, columnLine] = SIDES[kind].map((side) => current().lines[side]);
    const layers = layer < 0 ? layersOf(kind) : [layer];
    const rows = rowLine.pieces.length, columns = columnLine.pieces.length;
    const values = new Float32Array(rows * columns);
    for (const each of layers) {
      const { values: all, heads } = await block(state.sentence, kind, each);
      const chosen = someHeads ? [someHeads.indexOf(head)] : head < 0 ? [...Array(heads).keys()] : [head];
      for (const one of chosen) {
        const share = 1 / (layers.length * chosen.length), start = one * rows * columns;
        for (let i = 0; i < values.length; i++) values[i] += share * all[start + i];
      }
    }
    if (unit === "pieces") {
      return { values, rows: rowLine.pieces, columns: columnLine.pieces,
        rowSpecial: ofPieces(rowLine), columnSpecial: ofPieces(columnLine) };
    }
    const merged = new Float32Array(rowLine.words.length * columnLine.words.length);
    rowLine.groups.forEach((rowGroup, r) => columnLine.groups.forEach((columnGroup, c) => {
      let sum = 0;
      for (const i of rowGroup) for (const j of columnGroup) sum += values[i * columns + j];
      merged[r * columnLine.words.length + c] = sum / rowGroup.length;
    }));
    return { values: merged, rows: rowLine.words, columns: columnLine.words,
      rowSpecial: rowLine.special, columnSpecial: columnLine.special };
  }

  function ofPieces(line) {
    const special = Array(line.pieces.length).fill(false);
    line.groups.forEach((group, word) => group.forEach((piece) => { special[piece] = line.special[word]; }));
    return special;
  }

  const at = (r, c) => shown.values[r * shown.columns.length + c];
  // Signs that are not seen, but act on the text around them or hide in it, are shown as in Python; joiners of letters are of a word.
  const ACTS = /[\0-\x08\x0e-\x1f\x7f-\x9f\u00ad\u200b\u2028-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb]|^[\u061c\u200c-\u200f]+$/g;
  const escaped = (sign) => { const code = sign.charCodeAt(0).toString(16); return code.length > 2 ? `\\u${code.padStart(4, "0")}` : `\\x${code.padStart(2, "0")}`; };
  const visible = (text) => text.replace(ACTS, (signs) => [...signs].map(escaped).join(""));
  const name = (token) => visible(token.replaceAll("▁", " ").replace(/^ +/, "")).trim() || "␣";
  const apart = (text) => `\u2068${text}\u2069`; // a word keeps its own direction among others
  // A line runs as its first letter does; dir="auto" does not see into the words, which have directions of their own.
  const direction = (text) => (/^[^\p{L}]*[\u0590-\u08ff\ufb1d-\ufdff\ufe70-\ufefc]/u.test(text) ? "rtl" : "ltr");

  /** The words of a row (or column) with the largest of its weights. */
  function heaviest(tokens, weight, count) {
    const order = tokens.map((_, i) => i).sort((a, b) => weight(b) - weight(a));
    return order.slice(0, count).map((i) => `${apart(name(tokens[i]))} ${number(weight(i))}`).join(" · ");
  }
  const heaviestOfRow = (r, count) => heaviest(shown.columns, (c) => at(r, c), count);

  function entropy(r) {
    let bits = 0;
    for (let c = 0; c < shown.columns.length; c++) { const w = at(r, c); if (w > 0) bits -= w * Math.log2(w); }
    return Math.max(bits, 0);
  }

  /** The probability the model gave each word (or piece) of the translation: the product over its pieces. */
  function probabilities() {
    const { lines: { target }, log_probs: logs } = current();
    const groups = shown.unit === "pieces" ? target.pieces.map((_, piece) => [piece]) : target.groups;
    return groups.map((group) => Math.exp(group.reduce((sum, piece) => sum + logs[piece], 0)));
  }

  // ---- colours ----
  /** Shades for weights: of 0 to 1, or up to the largest of these values if that is asked for; for losses always so. */
  function ramp(values = shown.values, colours = "--ramp") {
    const top = topOf(values, colours);
    const style = getComputedStyle(document.documentElement);
    const stops = [0, 1, 2].map((stop) => style.getPropertyValue(`${colours}-${stop}`).split(",").map(Number));
    return (weight) => {
      const t = 2 * Math.min(Math.max(weight / top, 0), 1) ** 0.8, first = t < 1 ? 0 : 1;
      return stops[first].map((low, i) => Math.round(low + (stops[first + 1][i] - low) * (t - first)));
    };
  }
  function topOf(values, colours = "--ramp") {
    if (state.scale !== "largest" && colours !== "--loss") return 1;
    let top = 1e-6;
    for (const value of values) if (value > top) top = value;
    return top;
  }
  /** What shades mean. Those of all heads have each their own largest weight, if they go up to that. */
  function paintKey() {
    byId("key").hidden = isEffects();
    const top = shown.values && topOf(shown.values), mix = ramp(shown.values || []), steps = [...Array(13).keys()];
    byId("key-shades").style.backgroundImage = `linear-gradient(90deg, ${steps.map((step) => rgb(mix(top * step / 12)))})`;
    byId("key-least").textContent = 0;
    byId("key-most").textContent = state.scale !== "largest" ? 1 : state.tab === "grid" ? say("largestOfEach") : number(top);
  }
  const css = (variable) => getComputedStyle(document.documentElement).getPropertyValue(variable).trim();
  const rgb = (parts) => `rgb(${parts.join(",")})`;
  function tint(element, weight, mix) {
    const parts = mix(weight);
    if (parts.join() === mix(0).join()) { untint(element); return; }
    // Black on what is lighter than this, white on the rest: a contrast of 4.58 at least (WCAG 2.2, relative luminance).
    const [r, g, b] = parts.map((part) => (part <= 10 ? part / 3294.6 : ((part / 255 + 0.055) / 1.055) ** 2.4));
    element.style.backgroundColor = rgb(parts);
    element.style.color = 0.2126 * r + 0.7152 * g + 0.0722 * b > 0.179 ? "#000000" : "#ffffff";
  }
  function untint(element) { element.style.backgroundColor = ""; element.style.color = ""; }

  // ---- the sentence pair ----
  function fillReader() {
    const sure = probabilities();
    for (const side of ["source", "target"]) {
      const line = current().lines[side];
      const tokens = shown.unit === "pieces" ? line.pieces : line.words;
      const special = shown.unit === "pieces" ? ofPieces(line) : line.special;
      byId(side).dir = direction(current()[side]);
      byId(side).lang = languageOf(side);
      byId(side).replaceChildren(...tokens.map((token, i) => {
        const button = document.createElement("button");
        button.type = "button";
        button.textContent = name(token);
        button.dir = "auto";
        button.setAttribute("aria-pressed", "false");
        if (special[i]) button.className = "special";
        if (side === "target") {
          const bar = document.createElement("span"), full = document.createElement("i");
          bar.className = "sure";
          full.style.width = `${100 * sure[i]}%`;
          bar.append(full);
          button.append(bar);
          button.title = `${say("probability")} ${number(sure[i])}`;
        }
        button.addEventListener("mouseenter", () => choose(side, i));
        button.addEventListener("focus", () => choose(side, i));
        button.addEventListener("click", () => choose(side, i));
        return button;
      }));
      oneStop(byId(side));
    }
    byId("time").max = rowCount();
    byId("time").setAttribute("aria-label", say(shown.sides[0] === "source" ? "wordOfSource" : "wordOfTarget"));
  }

  const rowCount = () => byId(shown.sides[0]).children.length;

  const languageOf = (side) => current().languages[side === "read" ? "target" : side];

  // ---- the keyboard ----
  /** Of many buttons in a box make one stop of the Tab key, the one used last: arrows lead from there to the others. */
  function oneStop(box) {
    box.querySelectorAll("button").forEach((button, i) => { button.tabIndex = i ? -1 : 0; });
  }
  function stopAt(box, button) {
    for (const each of box.querySelectorAll('[tabindex="0"]')) each.tabIndex = -1;
    button.tabIndex = 0;
  }
  function walkByArrows(box, across, down) {
    box.addEventListener("focusin", (event) => stopAt(box, event.target));
    box.addEventListener("keydown", (event) => {
      const right = getComputedStyle(box).direction === "rtl" ? -across() : across();
      const by = { ArrowRight: right, ArrowLeft: -right, ArrowDown: down(), ArrowUp: -down(), Home: -Infinity, End: Infinity }[event.key];
      if (!by) return;
      event.preventDefault();
      const buttons = [...box.querySelectorAll("button")], last = buttons.length - 1;
      buttons[Math.min(Math.max(buttons.indexOf(event.target) + by, 0), last)].focus();
    });
  }

  /** Point at a word of the sentence pair: at its row if it is one that attends, else at its column. */
  function choose(side, i) {
    const [rowSide, columnSide] = shown.sides;
    if (side === rowSide) select(i, -1);
    else if (side === columnSide) select(-1, i);
    else select(-1, -1);
  }

  /** Choose a row, a column, both or neither (-1). What follows: the choice was not pointed at, so it may be out of sight. */
  function select(row, column, { fromPlayer = false, follows = fromPlayer } = {}) {
    if (!fromPlayer) pause();
    state.row = shown.values ? row : -1; // effects on each word of the translation are not always carried
    state.column = column;
    if (!fromPlayer) reveal(Infinity);
    byId("time").value = row + 1;
    paintSelection();
    if (follows) follow();
  }

  const wordsOf = (side) => side === "read" ? [null, ...byId("target").children] : [...byId(side).children]; // what was read stands one place later

  /** Bring the chosen words, and their place in the matrix, into sight; of a row alone also the word it attends to most. */
  function follow() {
    const [rowSide, columnSide] = shown.sides, { row, column } = state;
    const show = (element, box) => {
      if (!element) return;
      const { top, bottom } = element.getBoundingClientRect();
      bringIntoView(box || element.parentElement, { top: top - 4, bottom: bottom + 4 }); // with the ring around it
    };
    const word = wordsOf(rowSide)[row];
    const most = row >= 0 && column < 0 ? shown.columns.reduce((best, _, c) => (at(row, c) > at(row, best) ? c : best), 0) : column;
    let other = wordsOf(columnSide)[column];
    if (word && !other && attendsByWord()) {
      other = wordsOf(columnSide)[most];
      if (other && other.parentElement === word.parentElement) other = null; // one text: the word itself stays in sight
    }
    show(other);
    show(word);
    if (state.tab === "columns") { // where the two are too far apart for both, the chosen one is seen
      show(byId("right").children[most], byId("columns-scroll"));
      show(byId("left").children[row], byId("columns-scroll"));
    }
    if (state.tab !== "matrix" || isEffects()) return;
    const { x, y } = byId("matrix").getBoundingClientRect(), { cell, left, top } = geometry;
    const place = {}; // with the headings before the first cell
    if (row >= 0) Object.assign(place, { top: y + (row && top + row * cell), bottom: y + top + (row + 1) * cell });
    if (column >= 0) Object.assign(place, { left: x + (column && left + column * cell), right: x + left + (column + 1) * cell });
    bringIntoView(byId("matrix-scroll"), place);
  }
  /** Scroll a box, never the page, to a place that is given as in the window; `covered`: by a heading that stays. */
  function bringIntoView(box, { top, bottom, left, right }, covered = 0) {
    const { x, y } = box.getBoundingClientRect();
    if (top < y + covered) box.scrollTop -= y + covered - top;
    else if (bottom > y + box.clientHeight) box.scrollTop += bottom - y - box.clientHeight;
    if (left < x) box.scrollLeft -= x - left;
    else if (right > x + box.clientWidth) box.scrollLeft += right - x - box.clientWidth;
  }

  /** Show the choice in the words, and in words; the open view is left as it is. */
  function paintWords() {
    const mix = ramp(shown.values || []), [rowSide, columnSide] = shown.sides;
    for (const element of [...wordsOf("source"), ...wordsOf("target")]) { untint(element); element.setAttribute("aria-pressed", "false"); }
    const rows = wordsOf(rowSide), columns = wordsOf(columnSide);
    if (state.row >= 0) {
      if (attendsByWord()) columns.forEach((element, c) => { if (element && c < shown.columns.length) tint(element, at(state.row, c), mix); });
      rows[state.row].setAttribute("aria-pressed", "true");
    } else if (state.column >= 0) {
      // In the view of effects: what each word loses without it, in another colour, for that is no attention.
      const { losses, columns: { length } } = shown, lossMix = losses && ramp(losses, "--loss");
      if (!isEffects()) rows.forEach((element, r) => tint(element, at(r, state.column), mix));
      else if (losses) rows.forEach((element, r) => tint(element, losses[r * length + state.column], lossMix));
      if (columns[state.column]) columns[state.column].setAttribute("aria-pressed", "true");
    }
    const ofColumn = isEffects() ? view.describe() : state.row < 0 && state.column >= 0 ? describeColumn(state.column) : "";
    byId("said").textContent = [state.row < 0 ? "" : describe(state.row), ofColumn].filter(Boolean).join(" — ");
  }
  function paintSelection() {
    paintWords();
    if (state.tab === "columns") drawLines();
    if (state.tab === "matrix") drawMatrix();
    if (isEffects()) { view.paint(); paintHeading(); }
  }

  /** Whether the weights on show are those of their rows: beside effects, an encoder's are of the whole sentence. */
  const attendsByWord = () => !isEffects() || shown.kind === "cross";

  function describe(row) {
    const parts = attendsByWord() ? [`${apart(name(shown.rows[row]))} ${say("attends")} ${heaviestOfRow(row, 3)}`, `${say("entropy")} ${number(entropy(row), 1)} ${say("bits")}`] : [apart(name(shown.rows[row]))];
    if (shown.sides[0] === "target") parts.push(`${say("probability")} ${number(probabilities()[row])}`);
    return parts.join(" — ");
  }

  const describeColumn = (column) => `${apart(name(shown.columns[column]))} ${say("attended")} ${heaviest(shown.rows, (r) => at(r, column), 3)}`;

  // ---- word by word ----
  function reveal(until) {
    const hides = shown.sides[0] === "target";
    [...byId("target").children].forEach((element, i) => element.classList.toggle("unsaid", hides && i > until));
    if (hides && until < Infinity) stopAt(byId("target"), byId("target").children[until]); // what is hidden takes no focus
  }
  function step(by) {
    const last = rowCount() - 1, next = Math.min(Math.max((state.row < 0 ? (by > 0 ? -1 : last + 1) : state.row) + by, 0), last);
    select(next, -1, { fromPlayer: true });
    reveal(next);
    return next < last;
  }
  function play() {
    if (state.row >= rowCount() - 1) state.row = -1;
    byId("play").setAttribute("aria-pressed", "true");
    byId("play").textContent = say("pause");
    const tick = () => { if (step(1)) timer = setTimeout(tick, 900); else pause(); };
    tick();
  }
  function pause() {
    clearTimeout(timer);
    timer = 0;
    byId("play").setAttribute("aria-pressed", "false");
    byId("play").textContent = say("play");
  }

  // ---- matrix ----
  let geometry = null, base = null;
  function layOut() {
    const most = Math.max(shown.rows.length, shown.columns.length);
    const cell = most <= 24 ? 30 : most <= 48 ? 22 : most <= 90 ? 14 : most <= 200 ? 10 : most <= 1000 ? 4 : 2;
    const font = cell >= 10 ? Math.min(14, cell - 1) : 0;
    const context = byId("matrix").getContext("2d");
    context.font = `${font}px system-ui, "Noto Sans", "DejaVu Sans", sans-serif`;
    const widest = (tokens) => font ? Math.max(...tokens.map((token) => context.measureText(short(token)).width)) : 4;
    const left = Math.ceil(widest(shown.rows)) + 14, slanted = widest(shown.columns);
    const top = Math.ceil(slanted * 0.87) + font + 6, right = Math.ceil(slanted * 0.5) + 8;
    return { cell, font, left, top, width: left + cell * shown.columns.length + right, height: top + cell * shown.rows.length + 8 };
  }
  const short = (token) => { const text = name(token), letters = [...text]; return letters.length > 22 ? letters.slice(0, 21).join("") + "…" : text; };

  function paintBase() {
    geometry = layOut();
    const { cell, font, left, top, width, height } = geometry;
    const scale = printing ? Math.min(3, Math.sqrt(16e6 / (width * height))) : Math.min(devicePixelRatio || 1, width * height > 4e6 ? 1 : 2);
    base = document.createElement("canvas");
    base.width = width * scale;
    base.height = height * scale;
    const context = base.getContext("2d");
    context.scale(scale, scale);
    context.imageSmoothingEnabled = false;
    context.drawImage(picture(shown), left, top, shown.columns.length * cell, shown.rows.length * cell);
    if (cell >= 10) {
      context.strokeStyle = css("--line");
      context.lineWidth = 0.5;
      for (let r = 0; r <= shown.rows.length; r++) line(context, left, top + r * cell, left + shown.columns.length * cell, top + r * cell);
      for (let c = 0; c <= shown.columns.length; c++) line(context, left + c * cell, top, left + c * cell, top + shown.rows.length * cell);
    }
    if (font) {
      const face = `${font}px system-ui, "Noto Sans", "DejaVu Sans", sans-serif`;
      context.textBaseline = "middle";
      context.textAlign = "right";
      shown.rows.forEach((token, r) => {
        context.fillStyle = css(shown.rowSpecial[r] ? "--quiet" : "--ink");
        context.font = shown.rowSpecial[r] ? `italic ${face}` : face;
        context.fillText(short(token), left - 8, top + (r + 0.5) * cell);
      });
      context.textAlign = "left";
      shown.columns.forEach((token, c) => {
        context.save();
        context.translate(left + (c + 0.5) * cell, top - 6);
        context.rotate(-Math.PI / 3);
        context.fillStyle = css(shown.columnSpecial[c] ? "--quiet" : "--ink");
        context.font = shown.columnSpecial[c] ? `italic ${face}` : face;
        context.fillText(short(token), 0, 0);
        context.restore();
      });
    }
    const canvas = byId("matrix");
    canvas.width = base.width;
    canvas.height = base.height;
    canvas.style.width = `${width}px`;
    canvas.style.height = `${height}px`;
    canvas.setAttribute("aria-label", `${title()}: ${say("matrixLabel")}`);
    drawMatrix();
  }
  /** A canvas with a pixel for each weight. */
  function picture({ values, rows, columns }) {
    const canvas = document.createElement("canvas"), mix = ramp(values), top = topOf(values), last = 1000;
    const shades = Array.from({ length: last + 1 }, (_, i) => mix(top * i / last)); // millions of weights take too long one by one
    canvas.width = columns.length;
    canvas.height = rows.length;
    const pixels = canvas.getContext("2d").createImageData(canvas.width, canvas.height);
    for (let i = 0; i < values.length; i++) {
      const [red, green, blue] = shades[Math.round(last * Math.min(values[i] / top, 1))];
      pixels.data[4 * i] = red;
      pixels.data[4 * i + 1] = green;
      pixels.data[4 * i + 2] = blue;
      pixels.data[4 * i + 3] = 255;
    }
    canvas.getContext("2d").putImageData(pixels, 0, 0);
    return canvas;
  }
  function line(context, x0, y0, x1, y1) { context.beginPath(); context.moveTo(x0, y0); context.lineTo(x1, y1); context.stroke(); }

  function drawMatrix() {
    if (!base) return;
    const context = byId("matrix").getContext("2d"), { cell, left, top } = geometry, scale = base.width / geometry.width;
    context.setTransform(1, 0, 0, 1, 0, 0);
    context.clearRect(0, 0, base.width, base.height);
    context.drawImage(base, 0, 0);
    context.scale(scale, scale);
    context.strokeStyle = css("--second");
    context.lineWidth = 2;
    if (state.row >= 0) context.strokeRect(left, top + state.row * cell, shown.columns.length * cell, cell);
    if (state.column >= 0) context.strokeRect(left + state.column * cell, top, cell, shown.rows.length * cell);
    byId("reading").textContent = state.row >= 0 && state.column >= 0
      ? `${apart(name(shown.rows[state.row]))} → ${apart(name(shown.columns[state.column]))}: ${number(at(state.row, state.column), 3)}` : "";
  }

  function cellUnder(event) {
    const box = byId("matrix").getBoundingClientRect(), { cell, left, top } = geometry;
    const c = Math.floor((event.clientX - box.left - left) / cell), r = Math.floor((event.clientY - box.top - top) / cell);
    const inside = r >= 0 && r < shown.rows.length && c >= 0 && c < shown.columns.length;
    return inside ? [r, c] : null;
  }

  // ---- two columns ----
  function fillColumns() {
    const fill = (box, tokens, special, pick) => byId(box).replaceChildren(...tokens.map((token, i) => {
      const item = document.createElement("li"), button = document.createElement("button");
      button.type = "button";
      button.textContent = name(token);
      button.dir = "auto";
      button.setAttribute("aria-pressed", "false");
      if (special[i]) button.className = "special";
      for (const event of ["mouseenter", "focus", "click"]) button.addEventListener(event, () => pick(i));
      item.append(button);
      return item;
    }));
    fill("left", shown.rows, shown.rowSpecial, (i) => select(i, -1));
    fill("right", shown.columns, shown.columnSpecial, (i) => select(-1, i));
    [byId("left"), byId("right")].forEach((box, which) => { box.lang = languageOf(shown.sides[which]); oneStop(box); });
    byId("rows-name").textContent = sideName(0);
    byId("columns-name").textContent = sideName(1);
    drawLines();
  }
  const sideName = (which) => { const side = SIDES[state.kind][which]; return say(side === "read" ? "read" : side); };

  /** Lines in units of a row down and of the gap across: how large those are, on a screen or on paper, is the style's. */
  function drawLines() {
    const left = [...byId("left").children].map((item) => item.firstChild), right = [...byId("right").children].map((item) => item.firstChild);
    const only = state.row >= 0 || state.column >= 0, mix = ramp(), count = Math.max(left.length, right.length);
    const paths = new Map(); // by hundredths of weight, so that a long text too has few
    for (let r = 0; r < left.length; r++) {
      if (state.row >= 0 && r !== state.row) continue;
      for (let c = 0; c < right.length; c++) {
        const weight = at(r, c);
        if ((state.column >= 0 && c !== state.column) || weight < (only ? 0.01 : 0.05)) continue;
        const hundredths = Math.round(100 * weight);
        if (!paths.has(hundredths)) paths.set(hundredths, []);
        paths.get(hundredths).push(`M0 ${r + 0.5}C.5 ${r + 0.5} .5 ${c + 0.5} 1 ${c + 0.5}`);
      }
    }
    byId("columns-box").style.setProperty("--rows", count);
    byId("columns-box").classList.toggle("many", count > LARGE);
    byId("lines").setAttribute("viewBox", `0 0 1 ${count}`);
    byId("lines").replaceChildren(...[...paths].map(([hundredths, lines]) => {
      const path = document.createElementNS(byId("lines").namespaceURI, "path"), weight = hundredths / 100;
      path.setAttribute("d", lines.join(""));
      path.style.strokeOpacity = Math.min(1, only ? 0.15 + weight : weight * 0.8);
      path.style.strokeWidth = `calc(var(--row) * ${0.028 + 0.18 * weight})`;
      return path;
    }));
    left.forEach((element, r) => { untint(element); element.setAttribute("aria-pressed", String(r === state.row)); if (state.column >= 0) tint(element, at(r, state.column), mix); });
    right.forEach((element, c) => { untint(element); element.setAttribute("aria-pressed", String(c === state.column)); if (state.row >= 0) tint(element, at(state.row, c), mix); });
  }

  // ---- all heads ----
  async function fillGrid() {
    const kind = state.kind, sentence = state.sentence, layers = layersOf(kind);
    const heads = someHeads || [...Array(current().shape[kind].heads).keys()], grid = byId("grid");
    const cells = [element("span", ""), ...heads.map((head) => element("span", `${say("head")} ${headName(head)}`, "name top"))];
    for (const layer of layers) {
      cells.push(element("span", `${say("layer")} ${layer + 1}`, "name"));
      for (const head of heads) {
        const found = await matrixOf(kind, layer, head, state.unit);
        if (sentence !== state.sentence || kind !== state.kind) return; // the choice has moved on
        const button = element("button", ""), canvas = picture(found);
        button.type = "button";
        button.setAttribute("aria-label", `${say("layer")} ${layer + 1}, ${say("head")} ${headName(head)}`);
        button.setAttribute("aria-current", String(layer === state.layer && head === state.head));
        const side = heads.length > 8 ? 76 : 118, longest = Math.max(canvas.width, canvas.height);
        canvas.style.width = `${Math.max(24, side * canvas.width / longest)}px`;
        canvas.style.height = `${Math.max(24, side * canvas.height / longest)}px`;
        button.append(canvas);
        button.addEventListener("click", () => {
          Object.assign(state, { layer, head });
          fillChoices();
          openTab("matrix");
          refresh().then(() => byId("matrix").focus()); // the button that had the focus is gone
        });
        cells.push(button);
      }
    }
    grid.style.setProperty("--heads", heads.length);
    grid.replaceChildren(...cells);
    oneStop(grid);
    for (const button of grid.querySelectorAll('[aria-current="true"]')) stopAt(grid, button);
  }
  function element(tag, text, className = "") { const made = document.createElement(tag); made.textContent = text; made.className = className; return made; }

  // ---- numbers ----
  function fillTable() {
    const large = shown.columns.length > LARGE || shown.rows.length > LARGE, all = [...shown.columns.keys()];
    byId("table-box").replaceChildren(tableOf(all, large));
    if (!printing || large) return;
    const [corner, ...heads] = [...byId("table-box").querySelectorAll("tr")[0].cells].map((cell) => cell.offsetWidth);
    const blocks = [[]]; // a table that is wider than the paper goes on below, as on a terminal
    let width = corner;
    for (const c of all) {
      if (width + heads[c] > PAPER && blocks.at(-1).length) { blocks.push([]); width = corner; }
      blocks.at(-1).push(c);
      width += heads[c];
    }
    byId("table-box").replaceChildren(...blocks.map((columns) => tableOf(columns, false)));
  }
  function tableOf(columns, large) {
    const table = document.createElement("table"), { length } = shown.columns;
    const part = columns.length < length && `${say(shown.unit)} ${columns[0] + 1}–${columns.at(-1) + 1} ${say("of")} ${length}`;
    table.append(element("caption", part || title() + (large ? ` (${say("heaviest")})` : "")));
    if (!large) {
      const head = table.createTHead().insertRow();
      head.append(scoped("", "col"), ...columns.map((c) => scoped(name(shown.columns[c]), "col", 1, shown.columnSpecial[c])));
    }
    const body = table.createTBody();
    shown.rows.forEach((token, r) => {
      const row = body.insertRow();
      row.append(scoped(name(token), "row", 0, shown.rowSpecial[r]));
      if (large) row.append(element("td", heaviestOfRow(r, 5)));
      else columns.forEach((c) => row.append(element("td", number(at(r, c)))));
    });
    return table;
  }
  function scoped(text, scope, which = 0, special = false) {
    const cell = element("th", text, special ? "special" : "");
    Object.assign(cell, { scope, dir: "auto", lang: text && languageOf(shown.sides[which]) });
    return cell;
  }

  // ---- choices ----
  /** What is on show, for a printed page, where no choices are seen. */
  function heading() {
    if (state.tab === "grid") return `${say(shown.kind)}, ${say(shown.unit)}`;
    if (!isEffects()) return title();
    return `${say("effectOn")}: ${state.row < 0 ? say("whole") : apart(name(shown.rows[state.row]))}`;
  }
  const title = () => `${where()}, ${say(shown.unit)}`;
  function where() {
    const of = (which, count) => shown[which] < 0 ? `${say(which)}: ${say("mean")}` : `${say(which)} ${shown[which] + 1} ${say("of")} ${count}`;
    const { layers, heads } = current().shape[shown.kind];
    return `${say(shown.kind)}, ${of("layer", layers)}, ${of("head", heads)}`;
  }
  function options(select, pairs, value) {
    select.replaceChildren(...pairs.map(([key, text]) => { const option = element("option", text); option.value = key; return option; }));
    select.value = String(value);
  }
  function fillChoices() {
    const kinds = Object.keys(SIDES).filter((kind) => layersOf(kind).length);
    if (!kinds.includes(state.kind)) state.kind = kinds[0];
    const layers = layersOf(state.kind), { heads } = current().shape[state.kind];
    if (state.layer >= 0 && !layers.includes(state.layer)) state.layer = layers[layers.length - 1];
    const whole = layers.length === current().shape[state.kind].layers; // or the mean would be of those carried alone
    if (layers.length === 1 || (state.layer < 0 && !whole)) state.layer = layers[layers.length - 1];
    if (heads === 1) state.head = 0;
    if (state.head >= heads) state.head = -1;
    const offered = someHeads || [...(heads > 1 ? [MEAN] : []), ...Array(heads).keys()];
    if (!offered.includes(state.head)) [state.head] = offered;
    options(byId("kind"), kinds.map((kind) => [kind, say(kind)]), state.kind);
    options(byId("layer"), [...(layers.length > 1 && whole ? [[-1, say("mean")]] : []), ...layers.map((layer) => [layer, layer + 1])], state.layer);
    options(byId("head"), offered.map((head) => [head, headName(head)]), state.head);
    byId("unit").value = state.unit;
    byId("scale").value = state.scale;
  }

  const TABS = ["matrix", "columns", "grid", "table"];
  let view = null;
  if (data.sentences[0].effects) {
    TABS.push("effects");
    view = effectsView({ apart, bringIntoView, byId, current, element, inflate, languageOf, name, number, options, say, select, shown: () => shown, state, where });
  } else for (const id of ["tab-effects", "view-effects"]) byId(id).remove();

  function openTab(tab) {
    state.tab = tab;
    for (const label of byId("choice").children) label.hidden = label.lastElementChild.id.startsWith("effect-") !== (tab === "effects");
    for (const each of TABS) {
      const button = byId(`tab-${each}`), open = each === tab;
      button.setAttribute("aria-selected", String(open));
      button.tabIndex = open ? 0 : -1;
      byId(`view-${each}`).hidden = !open;
    }
  }
  function draw() {
    if (state.tab === "matrix") paintBase();
    if (state.tab === "columns") fillColumns();
    if (state.tab === "grid") fillGrid();
    if (state.tab === "table") fillTable();
    if (state.tab === "effects") view.draw();
    paintHeading();
  }
  function paintHeading() {
    byId("shown").textContent = `${say(state.tab)} — ${heading()}`;
    paintKey();
  }
  /** Effects have a matrix of their own, whatever attention the other views show. */
  function turnTo(tab) {
    openTab(tab);
    if (turn === done && (tab === "effects") === isEffects()) draw();
    else refresh();
  }

  let turn = 0, done = 0;
  async function refresh() {
    const mine = ++turn;
    const { kind, layer, head, unit } = state, chosen = { kind, layer, head, unit };
    const found = state.tab === "effects" ? await view.load() : { ...(await matrixOf(kind, layer, head, unit)), ...chosen, sides: SIDES[kind] };
    if (mine !== turn) return; // a later choice has overtaken this one
    done = mine;
    shown = found;
    pause();
    for (const id of ["back", "play", "forward", "time"]) byId(id).disabled = !shown.values;
    state.row = state.column = -1;
    byId("time").value = 0;
    fillReader();
    paintWords(); // not the open view: it still has the words of the text before
    draw();
    const kindNote = { cross: "noteCross", encoder: "noteEncoder", decoder: "noteDecoder" }[state.kind];
    const notes = isEffects() ? [...(shown.values ? [] : ["effectsTogether"]), "noteEffects", "noteSpecial"] : [kindNote, state.unit === "words" ? "noteWords" : "notePieces", "noteSpecial"];
    byId("note").textContent = notes.map(say).join(" ");
    document.body.dataset.ready = String(mine);
  }

  function translatePage() {
    document.documentElement.lang = language;
    byId("language").value = language;
    for (const each of document.querySelectorAll("[data-text]")) each.textContent = say(each.dataset.text);
    for (const each of document.querySelectorAll("[data-label]")) { each.setAttribute("aria-label", say(each.dataset.label)); if (each.tagName === "BUTTON") each.title = say(each.dataset.label); }
    byId("model").textContent = data.model;
    const { carried } = data;
    const onlyHeads = someHeads ? `, ${say("heads")} ${someHeads.map(headName).join(", ")}` : "";
    byId("carried").textContent = carried
      ? say("carried") + Object.entries(carried.layers).map(([kind, layers]) => `${say(kind)}, ${say("layers")} ${layers.map((layer) => layer + 1).join(", ")}`).join("; ") + onlyHeads + "." : "";
    byId("play").hidden = still.matches;
    fillChoices();
  }

  function fillIndex() {
    byId("index").hidden = data.sentences.length < 2;
    byId("index-list").replaceChildren(...data.sentences.map((sentence, i) => {
      const item = document.createElement("li"), button = element("button", `${i + 1}. ${visible(sentence.source || sentence.target)}`);
      button.type = "button";
      button.dir = "auto";
      button.setAttribute("aria-current", String(i === state.sentence));
      button.addEventListener("click", () => {
        state.sentence = i;
        for (const box of ["source", "target", "columns-scroll"]) byId(box).scrollTop = 0;
        for (const each of byId("index-list").querySelectorAll("button")) each.setAttribute("aria-current", String(each === button));
        fillChoices();
        refresh();
      });
      item.append(button);
      return item;
    }));
  }

  // ---- start ----
  for (const which of ["kind", "layer", "head", "unit", "scale"]) {
    byId(which).addEventListener("change", (event) => {
      state[which] = which === "layer" || which === "head" ? Number(event.target.value) : event.target.value;
      fillChoices();
      refresh();
    });
  }
  byId("language").addEventListener("change", (event) => { language = event.target.value; translatePage(); refresh(); });
  const dark = matchMedia("(prefers-color-scheme: dark)");
  const setTheme = (theme) => { document.documentElement.dataset.theme = theme; if (shown) { paintWords(); draw(); } };
  matchMedia("(forced-colors: active)").addEventListener("change", () => setTheme(document.documentElement.dataset.theme));
  dark.addEventListener("change", () => setTheme(dark.matches ? "dark" : "light"));
  byId("theme").addEventListener("click", () => setTheme(document.documentElement.dataset.theme === "dark" ? "light" : "dark"));
  let before = "";
  addEventListener("beforeprint", () => { before = document.documentElement.dataset.theme; printing = true; setTheme("light"); }); // paper is white
  addEventListener("afterprint", () => { printing = false; setTheme(before); });
  byId("play").addEventListener("click", () => (timer ? pause() : play()));
  byId("back").addEventListener("click", () => { pause(); step(-1); });
  byId("forward").addEventListener("click", () => { pause(); step(1); });
  byId("time").addEventListener("input", (event) => {
    pause();
    const row = Number(event.target.value) - 1;
    select(row, -1, { fromPlayer: true });
    reveal(row < 0 ? Infinity : row);
  });
  TABS.forEach((tab, i) => {
    byId(`tab-${tab}`).addEventListener("click", () => turnTo(tab));
    byId(`tab-${tab}`).addEventListener("keydown", (event) => {
      const by = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
      if (!by) return;
      event.preventDefault();
      const next = TABS[(i + by + TABS.length) % TABS.length];
      turnTo(next);
      byId(`tab-${next}`).focus();
    });
  });
  const canvas = byId("matrix");
  canvas.addEventListener("mousemove", (event) => { const cell = geometry && cellUnder(event); if (cell && (cell[0] !== state.row || cell[1] !== state.column)) select(...cell); });
  canvas.addEventListener("mouseleave", () => select(-1, -1));
  canvas.addEventListener("keydown", (event) => {
    const by = { ArrowDown: [1, 0], ArrowUp: [-1, 0], ArrowRight: [0, 1], ArrowLeft: [0, -1] }[event.key];
    if (event.key === "Escape") select(-1, -1);
    if (!by) return;
    event.preventDefault();
    const inside = (value, count) => Math.min(Math.max(value, 0), count - 1);
    select(inside(Math.max(state.row, 0) + (state.row < 0 ? 0 : by[0]), shown.rows.length), inside(Math.max(state.column, 0) + (state.column < 0 ? 0 : by[1]), shown.columns.length), { follows: true });
  });
  for (const side of ["source", "target"]) walkByArrows(byId(side), () => 1, () => 1);
  for (const side of ["left", "right"]) walkByArrows(byId(side), () => 0, () => 1);
  walkByArrows(byId("grid"), () => 1, () => Number(byId("grid").style.getPropertyValue("--heads")));

  Object.assign(state, data.start);
  document.documentElement.dataset.theme = dark.matches ? "dark" : "light";
  translatePage();
  fillIndex();
  openTab("matrix");
  refresh();
})();
