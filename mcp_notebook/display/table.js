// A table of a result: its rows and columns are drawn where they are looked at, and asked of the kernel when they are
// not here. One grid for the keyboard: the frame keeps the focus, and says which cell is meant (aria-activedescendant).
const order = new Intl.Collator(undefined, { numeric: true });
const ROW = 25; // pixels
const OPEN = 12.5; // rows that are seen at once: the half one says that there are more
const TALLEST = 8_000_000; // pixels; browsers draw nothing beyond some 16 million, so a longer table scrolls faster
const DOWN = 60, ACROSS = 20; // rows and columns of one question
const GUTTER = 14; // pixels beside the digits of the row numbers
const PLAIN = /^([-−]?)(\d+)(?:\.(\d+))?$/;
const NAMES_A_THING = /(^|[ _.-])(id|ids|key|code|no|nr|number|year|zip|plz|phone)$|Id$/i;
const WORDS = { is: "is", not: "is not", holds: "contains", least: "≥", most: "≤", above: ">", below: "<", null: "is NULL", some: "is not NULL" };
const many = (count, noun) => `${count.toLocaleString("en")} ${noun}${count === 1 ? "" : "s"}`;
let grids = 0;

function compare(a, b, numeric) {
  if (a == null || b == null) return (a == null) - (b == null);
  const gap = numeric ? Number(a) - Number(b) : 0;
  return gap || order.compare(a, b); // the collator tells apart integers that a double cannot hold
}

// How the numbers of a column are written: the digits behind the point that its values have, and whether thousands are
// set apart (not in what names a thing).
function writing(values, { num, name }) {
  if (!num) return null;
  const parts = values.map((value) => PLAIN.exec(value ?? "")).filter(Boolean);
  const digits = Math.max(0, ...parts.map((part) => part[3]?.length ?? 0));
  const long = parts.some((part) => part[2].length > 4);
  return { digits: digits > 6 ? 0 : digits, apart: long && (digits > 0 || !NAMES_A_THING.test(name)) };
}

// The text stays the value itself, so what is copied is exact: spaces and missing zeros are drawn by the style.
function number(value, { digits, apart }) {
  const part = PLAIN.exec(value);
  if (!part) return [value];
  const [, sign, whole, fraction = ""] = part;
  const groups = apart ? whole.replace(/\B(?=(\d{3})+$)/g, " ").split(" ") : [whole];
  const written = groups.map((group, i) => make("span", i ? "group" : "", (i ? "" : sign) + group));
  if (fraction) written.push(`.${fraction}`);
  const missing = "0".repeat(Math.max(0, digits - fraction.length));
  if (missing) written.push(Object.assign(make("span", "zeros"), { ariaHidden: "true" }));
  if (missing) written.at(-1).dataset.zeros = fraction ? missing : `.${missing}`;
  return written;
}

const role = (node, name, more = {}) => {
  node.setAttribute("role", name);
  for (const [key, value] of Object.entries(more)) node.setAttribute(`aria-${key}`, value);
  return node;
};

// Where the kernel is gone the rows that are here are filtered as well as a page can.
function passes(value, { what, value: wanted, end, closed }, numeric) {
  if (what === "null" || what === "some") return (value == null) === (what === "null");
  if (value == null) return false;
  if (what === "holds") return value.toLowerCase().includes(wanted.toLowerCase());
  const gap = compare(value, wanted, numeric);
  if (what !== "span") return { is: gap === 0, not: gap !== 0, least: gap >= 0, most: gap <= 0, above: gap > 0, below: gap < 0 }[what];
  const over = compare(value, end, numeric);
  return (closed === "right" ? gap > 0 : gap >= 0) && (closed === "left" ? over < 0 : over <= 0);
}

function local(data, { find, filters, order: by }) {
  const wanted = find.toLowerCase(), numeric = (at) => data.columns[at]?.num;
  const rows = data.rows.filter((row) =>
    (!wanted || row.some((value) => value != null && value.toLowerCase().includes(wanted))) &&
    filters.every((one) => passes(row[one.column], one, numeric(one.column))));
  const differ = (a, b) => {
    for (const [at, down] of by) {
      const [x, y] = [a[at], b[at]], gap = compare(x, y, numeric(at));
      if (gap) return gap * (down && x != null && y != null ? -1 : 1);
    }
    return 0;
  };
  return by.length ? rows.sort(differ) : rows;
}

// A box over everything that one thing is done in; Escape and a click elsewhere close it, and the focus goes back.
function popup(home, back) {
  const box = make("div", "popup");
  box.popover = "manual";
  const away = (event) => { if (!event.composedPath().includes(box)) close(false); };
  const close = (focus = true) => {
    if (!box.isConnected) return;
    document.removeEventListener("pointerdown", away, true);
    removeEventListener("scroll", moved, true);
    box.remove();
    if (focus) back();
  };
  const moved = (event) => { if (!event.composedPath().includes(box)) close(false); };
  const open = (title, parts, anchor, first) => {
    const rect = anchor.getBoundingClientRect();
    role(box, "dialog", { label: title });
    box.replaceChildren(make("b", "title", title), ...parts);
    home.append(box);
    box.showPopover();
    box.style.left = `${Math.max(8, Math.min(rect.left, innerWidth - box.offsetWidth - 8))}px`;
    const below = rect.bottom + 4 + box.offsetHeight < innerHeight;
    box.style.top = `${below ? rect.bottom + 4 : Math.max(8, rect.top - box.offsetHeight - 4)}px`;
    const target = first ?? box.querySelector("button, input, select, [tabindex]") ?? box;
    if (target === box) box.tabIndex = -1;
    target.focus({ preventScroll: true });
    setTimeout(() => { // what the focus itself moves does not close it
      document.addEventListener("pointerdown", away, true);
      addEventListener("scroll", moved, true);
    }, 50);
  };
  box.addEventListener("keydown", (event) => {
    event.stopPropagation();
    if (event.key === "Escape") { event.preventDefault(); close(); }
  });
  return { box, open, close };
}

function tree(value, key, depth = 0) {
  const label = key == null ? [] : [make("span", "f", `${key}: `)];
  if (value === null || typeof value !== "object") {
    const line = make("div", "leaf");
    line.append(...label, make("span", typeof value === "string" ? "s" : "n", JSON.stringify(value)));
    return line;
  }
  const entries = Object.entries(value), branch = make("details"), top = make("summary");
  top.append(...label, make("span", "dim", Array.isArray(value) ? many(entries.length, "item") : many(entries.length, "field")));
  branch.append(top);
  branch.open = depth < 2 && entries.length <= 40;
  const fill = () => { // only what is opened is drawn
    if (branch.open && branch.children.length === 1)
      branch.append(...entries.slice(0, 2000).map(([name, one]) => tree(one, name, depth + 1)));
  };
  branch.ontoggle = fill;
  fill();
  return branch;
}

function structure(text) {
  if (!/^\s*[[{]/.test(text)) return null;
  try { return tree(JSON.parse(text)); } catch { return null; }
}

function save(bytes, name) {
  const link = make("a"), url = URL.createObjectURL(new Blob([bytes]));
  Object.assign(link, { href: url, download: name });
  link.click();
  setTimeout(() => URL.revokeObjectURL(url), 10_000);
}

// `ask(question)` gives an answer about the whole table from the kernel, or null when it has it no more.
function table(data, ask) {
  const mine = `mcpn-${++grids}`, box = make("section", "table"), bar = make("div", "bar"), chips = make("div", "chips");
  const frame = make("div", "frame"), grid = make("table"), thead = make("thead"), head = make("tr"), body = make("tbody");
  const info = make("span", "info"), note = make("div", "dim note"), say = make("div", "spoken");
  const find = make("input", "find"), jump = make("input", "find jump"), menu = button("menu", "Take ▾", "Take this view along: code, files, Claude");
  const look = { find: "", filters: [], order: [] };
  const width = data.width, columns = [...data.columns], sizes = new Float64Array(width).fill(120), edges = new Float64Array(width + 1);
  const blocks = new Map(), waiting = new Set(), facts = new Map(), drawn = new Map();
  const state = { epoch: 0, found: data.total, top: 0, set: -1, gone: !ask, row: 0, col: 0, rows: data.rows, named: [] };
  const written = data.columns.map((column, i) => writing(data.rows.map((row) => row[i]), column));
  const plain = () => !look.find && !look.filters.length && !look.order.length;
  const gutter = data.total.toLocaleString("en").length * 6.8 + GUTTER;
  const counted = data.total >= 5 && width > 0, tall = counted ? 92 : 42;
  const column = (at) => columns[at] ?? { name: `column ${at + 1}`, kind: "", num: false, origin: "" };
  const pop = popup(box, () => frame.focus({ preventScroll: true }));

  // ---- sizes
  const fit = (at) => {
    const { name, kind } = column(at), known = [...Array(Math.min(60, state.found)).keys()].map((row) => value(row, at));
    const longest = Math.max(name.length * 1.05 + 3, kind.length * 0.85 + 3, ...known.map((one) => (one ?? "NULL").length * (column(at).num ? 1.07 : 1)));
    sizes[at] = Math.max(counted ? 120 : 56, Math.min(340, longest * 7.25 + 22));
  };
  const measure = () => {
    for (let at = 0; at < width; at++) edges[at + 1] = edges[at] + sizes[at];
    grid.style.width = `${gutter + edges[width]}px`;
  };
  const inner = () => Math.max(ROW, frame.clientHeight - tall);
  const length = () => state.found * ROW;
  const scale = () => (length() <= TALLEST ? 1 : (length() - inner()) / (TALLEST - inner()));
  const room = () => {
    body.style.height = `${Math.max(ROW, Math.min(length(), TALLEST))}px`;
    frame.style.maxHeight = `${tall + OPEN * ROW}px`;
  };

  // ---- values: of the first rows, of blocks that came, or not here yet
  const value = (row, at) => {
    if (state.gone || (plain() && row < data.rows.length && at < data.columns.length)) return state.gone ? state.rows[row]?.[at] : data.rows[row][at];
    return blocks.get(`${Math.floor(row / DOWN)}:${Math.floor(at / ACROSS)}`)?.[row % DOWN]?.[at % ACROSS];
  };
  const here = () => {
    state.gone = true;
    state.rows = local(data, look);
    state.found = state.rows.length;
    note.textContent = data.partial;
    note.hidden = !data.partial;
    reset();
  };
  const reset = () => {
    blocks.clear();
    waiting.clear();
    drawn.clear();
    body.replaceChildren();
    room();
    tell();
    paint();
  };
  const tell = () => {
    const short = state.found === data.total ? "" : `${state.found.toLocaleString("en")} of `;
    info.textContent = short + data.shape;
    role(grid, "grid", { rowcount: state.found + 1, colcount: width + 1, label: `${data.name || "table"}, ${info.textContent}` });
  };
  const fetch = async (down, across) => {
    const key = `${down}:${across}`, epoch = state.epoch;
    if (state.gone || blocks.has(key) || waiting.has(key)) return;
    waiting.add(key);
    const slow = setTimeout(() => { note.textContent = "the kernel is busy …"; note.hidden = false; }, 900);
    const left = across * ACROSS;
    const page = await ask({ ...look, start: down * DOWN, count: DOWN, left, width: ACROSS, columns: columns[left] == null });
    clearTimeout(slow);
    if (epoch !== state.epoch) return; // another look came meanwhile
    if (!page) return here();
    note.hidden = true;
    if (page.wrong) { wrong(page.wrong); return; }
    (page.columns ?? []).forEach((one, i) => { columns[left + i] = one; });
    blocks.set(key, page.rows);
    for (let i = 0; i < (page.rows[0]?.length ?? 0); i++) {
      const at = left + i, more = writing(page.rows.map((row) => row[i]), column(at)), was = written[at];
      written[at] = was && more ? { digits: Math.max(was.digits, more.digits), apart: was.apart || more.apart } : more;
    }
    if (page.columns) { page.columns.forEach((_, i) => fit(left + i)); measure(); head.replaceChildren(); }
    if (page.found !== state.found || (page.named ?? []).length !== state.named.length) {
      state.found = page.found;
      state.named = page.named ?? [];
      room();
      tell();
      badges();
    }
    // Of what is drawn only the rows of this block are new, and several blocks are drawn at once.
    if (page.columns) drawn.clear();
    else for (let row = down * DOWN; row < (down + 1) * DOWN; row++) drawn.delete(row);
    soon();
  };
  const wrong = (words) => {
    note.textContent = words;
    note.hidden = false;
    state.found = 0;
    tell();
    room();
    paint();
  };
  const relook = (change = {}) => {
    Object.assign(look, change);
    state.epoch++;
    state.row = Math.min(state.row, 0);
    frame.style.minHeight = `${Math.min(frame.offsetHeight, tall + OPEN * ROW)}px`; // few rows must not move what is below
    state.top = frame.scrollTop = 0;
    head.replaceChildren();
    badges();
    if (state.gone) return here();
    if (plain()) { state.found = data.total; state.named = []; note.hidden = true; badges(); }
    return reset();
  };
  const need = (from, to, first, last) => {
    if (plain() && to <= data.rows.length && last <= data.columns.length) return;
    for (let down = Math.floor(from / DOWN); down * DOWN < Math.max(to, 1); down++)
      for (const across of new Set([0, ...range(Math.floor(first / ACROSS), Math.floor((last - 1) / ACROSS))])) fetch(down, across);
  };
  const range = (from, to) => [...Array(Math.max(0, to - from + 1)).keys()].map((n) => n + from);

  // ---- the header
  const count = async (first, last) => {
    if (!counted || state.gone || state.counting) return;
    const left = range(first, last - 1).find((at) => !facts.has(at));
    if (left == null) return;
    state.counting = true; // one question at a time: what is looked at then is asked next
    const answer = await ask({ what: "counts", left, width: Math.min(12, width - left) });
    state.counting = false;
    if (!answer?.counts?.length) { state.uncounted = true; return; }
    answer.counts.forEach((one, i) => facts.set(left + i, one));
    head.replaceChildren();
    paint();
  };
  const share = (rows) => `${((100 * rows) / data.total).toFixed(rows * 10 < data.total ? 1 : 0)} %`;
  const charted = (at, { bars }) => {
    const most = Math.max(...bars.map(([, rows]) => rows)), row = make("div", "bars");
    row.append(...bars.map(([label, rows, filter]) => {
      const press = button("column", "", `${column(at).name}: ${label}, ${many(rows, "row")}`);
      press.tabIndex = -1;
      press.disabled = !filter;
      press.append(Object.assign(make("i"), { style: `height:${rows ? Math.max(6, (100 * rows) / most) : 0}%` }));
      press.onclick = () => { keep(at, filter, label); frame.focus({ preventScroll: true }); };
      return press;
    }));
    return row;
  };
  const worded = ({ bars, spans, range, ends }, exact) => {
    if (spans || !bars.length) return exact && ends[0] ? ends.join(" – ") : range;
    const [[label, rows]] = [...bars].sort((a, b) => b[1] - a[1]);
    return `${label} ${share(rows)}`;
  };
  const distinct = (one) => [one.nulls ? `${one.nulls.toLocaleString("en")} NULL` : "", one.distinct == null ? "" : `${one.exact ? "" : "≈ "}${one.distinct.toLocaleString("en")} distinct`].filter(Boolean).join(" · ");
  const heading = (at) => {
    const { name, kind, num, origin } = column(at), cell = make("th", num ? "num" : "");
    const by = look.order.findIndex(([one]) => one === at), down = by >= 0 && look.order[by][1];
    role(cell, "columnheader", { colindex: at + 2, sort: by < 0 ? "none" : down ? "descending" : "ascending" });
    cell.id = `${mine}-h-${at}`;
    const press = button("sort"), more = button("more", "⋮", `Filter ${name} and more`), grip = make("span", "grip");
    press.append(make("span", "name", name), make("span", "kind dim", kind));
    if (by >= 0 && look.order.length > 1) press.firstChild.dataset.by = by + 1;
    press.title = `${origin ? `${kind}, ${origin}` : kind}. Click sorts, Shift and click sorts by this too.`;
    press.tabIndex = more.tabIndex = -1;
    press.onclick = (event) => { resort(at, event.shiftKey); frame.focus({ preventScroll: true }); };
    more.onclick = () => facet(at, cell);
    cell.append(press, more, grip);
    const told = facts.get(at);
    if (counted) {
      const box = make("div", "facts");
      if (told?.bars.length) box.append(charted(at, told));
      if (told) box.title = worded(told, true);
      box.append(make("div", "told", told ? worded(told) : state.gone || state.uncounted ? "" : "…"), make("div", "told dim", told ? distinct(told) : ""));
      cell.append(box);
    }
    if (look.filters.some((one) => one.column === at)) cell.classList.add("kept");
    grip.ondblclick = () => { fit(at); resized(); };
    grip.onpointerdown = (event) => {
      event.preventDefault();
      grip.setPointerCapture(event.pointerId);
      const from = event.clientX, was = sizes[at];
      grip.onpointermove = (moved) => { sizes[at] = Math.max(40, was + moved.clientX - from); resized(); };
      grip.onpointerup = grip.onlostpointercapture = () => { grip.onpointermove = null; head.replaceChildren(); paint(); };
    };
    return cell;
  };
  const resized = () => {
    measure();
    drawn.clear();
    for (const cell of head.querySelectorAll("th")) cell.style.width = `${sizes[Number(cell.getAttribute("aria-colindex")) - 2]}px`;
    paint();
  };
  const resort = (at, also) => {
    const known = look.order.find(([one]) => one === at), rest = also ? look.order.filter(([one]) => one !== at) : [];
    // up, down, and as it came
    const next = !known ? [[at, false]] : known[1] ? [] : [[at, true]];
    relook({ order: [...rest, ...next] });
  };

  // ---- filters
  const keep = (at, filter, label) => relook({ filters: [...look.filters, { ...filter, column: at, label }] });
  const badges = () => {
    const made = look.filters.map((one, i) => {
      const words = one.label && one.what === "span" ? one.label : `${WORDS[one.what] ?? ""} ${one.label ?? one.value ?? ""}`.trim();
      const press = button("chip", `${column(one.column).name} ${words} ×`, "Take this filter away");
      press.onclick = () => { relook({ filters: look.filters.filter((_, j) => j !== i) }); frame.focus({ preventScroll: true }); };
      return press;
    });
    if (look.find && state.named.length) made.push(make("span", "dim", "in column names:"));
    if (look.find) made.push(...state.named.map(([at, name]) => {
      const press = button("chip column-name", name, `Go to the column ${name}`);
      press.onclick = () => { move(Math.max(0, state.row), at); frame.focus({ preventScroll: true }); };
      return press;
    }));
    chips.replaceChildren(...made);
    chips.hidden = !made.length;
  };
  const facet = (at, anchor) => {
    const { name, kind, num } = column(at), told = facts.get(at), parts = [], sort = make("div", "row");
    const done = (act) => () => { pop.close(); act(); };
    for (const [label, way] of [["Sort ↑", false], ["Sort ↓", true]]) {
      const press = button("", label);
      press.onclick = done(() => relook({ order: [[at, way]] }));
      sort.append(press);
    }
    const also = button("", "… and by this", "Sort by this column after the others");
    also.onclick = done(() => resort(at, true));
    if (look.order.length) sort.append(also);
    parts.push(make("div", "dim", [kind, told && distinct(told), told && worded(told, true)].filter(Boolean).join(" · ")), sort);
    if (told && !told.spans) for (const [label, rows, filter] of told.bars) {
      const press = button("value");
      press.append(make("span", "", label), make("span", "dim", ` ${rows.toLocaleString("en")} · ${share(rows)}`));
      press.style.setProperty("--part", `${(100 * rows) / data.total}%`);
      press.disabled = !filter;
      press.onclick = done(() => keep(at, filter, label));
      parts.push(press);
    }
    const form = make("form", "row"), what = make("select", "find"), wanted = make("input", "find"), go = button("once", "Filter");
    for (const one of num ? ["least", "most", "is", "not", "above", "below", "holds", "null", "some"] : ["holds", "is", "not", "least", "most", "null", "some"])
      what.append(Object.assign(make("option", "", WORDS[one]), { value: one }));
    what.ariaLabel = `How ${name} is filtered`;
    wanted.ariaLabel = `Value of ${name}`;
    what.onchange = () => { wanted.hidden = what.value === "null" || what.value === "some"; };
    form.onsubmit = (event) => {
      event.preventDefault();
      const without = what.value === "null" || what.value === "some";
      if (without || wanted.value) done(() => keep(at, { what: what.value, value: without ? "" : wanted.value }))();
    };
    go.type = "submit";
    form.append(what, wanted, go);
    parts.push(form);
    pop.open(name, parts, anchor, wanted);
  };

  // ---- drawing
  const cell = (row, at) => {
    const one = value(row, at), { num } = column(at), node = make("td", num ? "num" : "");
    role(node, "gridcell", { colindex: at + 2 });
    node.id = `${mine}-${row}-${at}`;
    node.style.width = `${sizes[at]}px`;
    if (at === 0) node.classList.add("first"), (node.style.left = `${gutter}px`);
    if (one === undefined) { node.classList.add("waits"); return node; }
    node.append(...(one != null && written[at] ? number(one, written[at]) : [one ?? "NULL"]));
    if (one == null) node.classList.add("null");
    else if (one.length > 40) node.title = one;
    return node;
  };
  const line = (row, first, last) => {
    const node = make("tr", row % 2 ? "odd" : ""), at = make("th", "at dim", (row + 1).toLocaleString("en"));
    role(node, "row", { rowindex: row + 2 });
    role(at, "rowheader", { colindex: 1 });
    at.style.width = `${gutter}px`;
    node.append(at, ...(width ? [cell(row, 0)] : []));
    for (let i = first; i < last; i++) {
      node.append(cell(row, i));
      if (i === first) node.lastChild.style.marginLeft = `${edges[first] - edges[1]}px`;
    }
    return node;
  };
  const across = () => {
    const from = edges[Math.min(1, width)] + frame.scrollLeft, to = frame.scrollLeft + (frame.clientWidth || 900) - gutter;
    let first = 1, last;
    while (first < width && edges[first + 1] <= from) first++;
    for (last = first; last < width && edges[last] < to; ) last++;
    return [Math.min(first, width), Math.min(last, width)];
  };
  const paint = () => {
    const [first, last] = across(), virtual = state.top, from = Math.max(0, Math.floor(virtual / ROW) - 2);
    const to = Math.min(state.found, Math.ceil((virtual + Math.min(frame.clientHeight || 500, 900)) / ROW) + 2), shift = frame.scrollTop - virtual;
    need(from, to, Math.min(first, Math.max(0, width - 1)), Math.max(last, 1));
    const window_ = `${first}:${last}`;
    if (head.dataset.window !== window_ || !head.children.length) {
      head.dataset.window = window_;
      const corner = role(make("td", "at"), "columnheader", { colindex: 1, label: "row" });
      corner.style.width = `${gutter}px`;
      head.replaceChildren(corner, ...[...(width ? [0] : []), ...range(first, last - 1)].map((at) => {
        const node = heading(at);
        node.style.width = `${sizes[at]}px`;
        if (at === 0) node.classList.add("first"), (node.style.left = `${gutter}px`);
        else if (at === first) node.style.marginLeft = `${edges[first] - edges[1]}px`;
        return node;
      }));
    }
    if (state.window !== window_) drawn.clear(), (state.window = window_);
    const rows = [];
    for (let row = from; row < to; row++) {
      const node = drawn.get(row) ?? line(row, first, last);
      drawn.set(row, node);
      node.style.top = `${row * ROW + shift}px`;
      rows.push(node);
    }
    for (const row of drawn.keys()) if (row < from || row >= to) drawn.delete(row);
    const same = rows.length === body.children.length && rows.every((node, i) => body.children[i] === node);
    if (!same) body.replaceChildren(...rows);
    mark();
    clearTimeout(state.later);
    state.later = setTimeout(() => count(0, 1).then(() => count(first, last)), 30);
  };
  const soon = () => { state.frame ??= requestAnimationFrame(() => { state.frame = undefined; paint(); }); };
  const mark = () => {
    for (const node of grid.querySelectorAll(".here")) node.classList.remove("here"), node.removeAttribute("aria-selected");
    const id = state.row < 0 ? `${mine}-h-${state.col}` : `${mine}-${state.row}-${state.col}`, node = grid.querySelector(`#${id}`);
    if (!node) return frame.removeAttribute("aria-activedescendant");
    node.classList.add("here");
    node.setAttribute("aria-selected", "true");
    frame.setAttribute("aria-activedescendant", id);
  };

  // ---- going about
  const show = (row, at) => {
    if (row >= 0) {
      const y = row * ROW, view = inner();
      if (y < state.top) state.top = y;
      else if (y + ROW > state.top + view) state.top = y + ROW - view;
      frame.scrollTop = state.top / scale();
      state.set = frame.scrollTop;
    }
    if (at > 0) {
      const left = edges[at] - edges[1], right = edges[at + 1] - (frame.clientWidth - gutter);
      if (frame.scrollLeft > left) frame.scrollLeft = left;
      else if (frame.scrollLeft < right) frame.scrollLeft = right;
    } else frame.scrollLeft = 0;
  };
  const move = (row, at) => {
    state.row = Math.max(-1, Math.min(row, state.found - 1));
    state.col = Math.max(0, Math.min(at, width - 1));
    show(state.row, state.col);
    paint();
  };
  const leap = (number_) => { // the row stands in the middle
    const row = Math.max(0, Math.min(number_ - 1, state.found - 1));
    state.top = Math.max(0, Math.min(length() - inner(), row * ROW - inner() / 2));
    move(row, state.col);
  };
  const raw = async (row, at) => {
    const one = value(row, at);
    if (state.gone || (one != null && one.length < 40 && !column(at).num)) return one ?? "";
    return (await ask({ ...look, what: "cell", row, column: at }))?.text ?? one ?? "";
  };
  const copied = async (text, done) => {
    try { await navigator.clipboard.writeText(text); say.textContent = done; } catch { say.textContent = "This page may not write the clipboard."; }
  };
  const read = async () => {
    const { row, col } = state, shown = value(row, col);
    const whole = state.gone ? { text: shown } : (await ask({ ...look, what: "cell", row, column: col })) ?? { text: shown };
    const text = whole.text, parts = [make("div", "dim", `row ${(row + 1).toLocaleString("en")} · ${column(col).kind}${text == null ? "" : ` · ${many(text.length, "character")}`}`)];
    const inside = text == null ? null : structure(text), words = make("pre", text == null ? "null" : "", text ?? "NULL");
    words.tabIndex = 0;
    if (whole.url) parts.push(Object.assign(make("img"), { src: whole.url, alt: `Picture in ${column(col).name}` }));
    else parts.push(inside ?? words);
    if (whole.cut) parts.push(make("div", "dim", `The first ${text.length.toLocaleString("en")} of ${whole.cut.toLocaleString("en")} characters; CSV has them all.`));
    const row_ = make("div", "row");
    if (text != null) row_.append(copier("copy the value", text, "Copy the whole value"));
    parts.push(row_);
    const anchor = grid.querySelector(`#${mine}-${row}-${col}`) ?? frame;
    pop.open(column(col).name, parts, anchor);
  };

  // ---- taking it along
  const take = () => {
    const rows = [], item = (label, what, act) => {
      const press = button("item", label, what);
      press.onclick = act;
      rows.push(press);
    };
    const coded = (kind, title) => async () => {
      const answer = await ask({ ...look, what: "code" });
      if (!answer) return pop.open("The kernel has this table no more", [make("div", "dim", "Run the cell again.")], menu);
      const code = make("pre", "", answer[kind]);
      code.tabIndex = 0;
      const press = copier("copy", answer[kind], `Copy ${title}`), row = make("div", "row");
      row.append(press);
      pop.open(title, [code, ...(answer.note ? [make("div", "dim", answer.note)] : []), row], menu, press);
      press.click();
    };
    const filed = (kind) => async () => {
      pop.close();
      const answer = await ask({ ...look, what: "file", kind });
      if (kind === "tsv" && answer?.bytes) return copied(new TextDecoder().decode(answer.bytes), "copied");
      if (answer?.bytes) save(answer.bytes, answer.name);
      note.textContent = answer?.said ?? "The kernel has this table no more: run the cell again.";
      note.hidden = false;
    };
    item("as SQL cell", "A cell that gives this view again", coded("cell", "SQL cell"));
    item("as pandas", "The same in pandas", coded("pandas", "pandas"));
    item("Copy rows", "For a spreadsheet", filed("tsv"));
    item("CSV", "Save as CSV", filed("csv"));
    item("Parquet", "Save as Parquet", filed("parquet"));
    if (data.tells) item("Tell Claude", "Puts this view into your next question, by name", async () => {
      pop.close();
      const answer = await ask({ ...look, what: "tell" });
      note.textContent = answer?.said ?? "The kernel has this table no more: run the cell again.";
      note.hidden = false;
    });
    pop.open("Take this view along", rows, menu);
  };

  // ---- what is pressed
  const screen = () => Math.max(1, Math.floor(inner() / ROW) - 1);
  const keys = {
    ArrowDown: () => move(state.row + 1, state.col), ArrowUp: () => move(state.row - 1, state.col),
    ArrowRight: () => move(state.row, state.col + 1), ArrowLeft: () => move(state.row, state.col - 1),
    PageDown: () => move(state.row + screen(), state.col), PageUp: () => move(Math.max(0, state.row - screen()), state.col),
    Home: () => move(state.row, 0), End: () => move(state.row, width - 1),
    Enter: (event) => (state.row >= 0 ? read() : resort(state.col, event.shiftKey)),
    "/": () => find.focus(),
    f: () => facet(state.col, grid.querySelector(`#${mine}-h-${state.col}`) ?? frame),
  };
  const wide = { ArrowRight: 16, ArrowLeft: -16 };
  frame.onkeydown = (event) => {
    if (event.target !== frame || event.isComposing) return;
    const command = event.ctrlKey || event.metaKey;
    let act = command ? null : keys[event.key];
    if (command && event.key === "Home") act = () => move(0, 0);
    if (command && event.key === "End") act = () => move(state.found - 1, width - 1);
    if (command && event.key === "c" && !String(getSelection()) && state.row >= 0) act = () => raw(state.row, state.col).then((text) => copied(text, "copied the value"));
    if (event.altKey && wide[event.key]) act = () => { sizes[state.col] = Math.max(40, sizes[state.col] + wide[event.key]); resized(); head.replaceChildren(); paint(); };
    if (event.key === "Escape" && !plain()) act = () => { find.value = ""; relook({ find: "", filters: [], order: [] }); };
    if (!act) return;
    event.preventDefault();
    event.stopPropagation(); // the notebook would take it for its own
    act(event);
  };
  const place = (event) => {
    const node = event.target.closest?.("td[role=gridcell]");
    return node && node.id.split("-").slice(-2).map(Number);
  };
  body.onclick = (event) => { const at = place(event); if (at) [state.row, state.col] = at, mark(); };
  body.ondblclick = (event) => { const at = place(event); if (at) { [state.row, state.col] = at; getSelection().removeAllRanges(); read(); } };
  frame.onscroll = () => {
    if (Math.abs(frame.scrollTop - state.set) > 0.6) state.top = frame.scrollTop * scale();
    state.set = -1;
    soon();
  };
  frame.addEventListener("wheel", (event) => {
    const by = scale();
    if (by === 1 || event.ctrlKey || Math.abs(event.deltaX) > Math.abs(event.deltaY)) return;
    const to = Math.max(0, Math.min(length() - inner(), state.top + event.deltaY * (event.deltaMode ? ROW : 1)));
    if (to === state.top) return;
    event.preventDefault(); // a pixel of the scroll bar is more than a row here
    state.top = to;
    frame.scrollTop = to / by;
    state.set = frame.scrollTop;
    paint();
  }, { passive: false });
  let typing;
  find.oninput = () => {
    clearTimeout(typing);
    typing = setTimeout(() => relook({ find: find.value }), state.gone ? 0 : 250); // every letter would ask the kernel
  };
  const leaves = (field, act) => field.addEventListener("keydown", (event) => {
    event.stopPropagation();
    if (event.key === "Escape" || (event.key === "Enter" && !event.isComposing)) {
      event.preventDefault();
      act(event.key);
      frame.focus({ preventScroll: true });
    }
  });
  leaves(find, (key) => {
    clearTimeout(typing);
    if (key === "Escape") find.value = "";
    if (find.value !== look.find) relook({ find: find.value });
  });
  leaves(jump, (key) => {
    const to = Number(jump.value.replace(/[^\d]/g, ""));
    if (key === "Enter" && to) leap(to);
  });
  menu.onclick = take;

  // ---- put together
  Object.assign(find, { type: "search", placeholder: "Search  /", ariaLabel: "Search rows and column names" });
  Object.assign(jump, { inputMode: "numeric", placeholder: "Row", ariaLabel: "Go to row" });
  info.setAttribute("aria-live", "polite");
  say.setAttribute("aria-live", "polite");
  if (data.name) bar.append(copier(data.name, data.name, `Copy the name ${data.name}`));
  bar.append(info);
  for (const [label, why] of data.badges) Object.assign(bar.appendChild(make("span", "badge", label)), { title: why });
  const tools = make("span", "tools");
  tools.append(...(data.total > 1 ? [find] : []), ...(data.total > 2 * OPEN ? [jump] : []), ...(ask ? [menu] : []));
  bar.append(tools);
  frame.tabIndex = 0;
  frame.ariaLabel = `${data.name || "Table"}: arrows move, Enter reads a cell, / searches, f filters a column`;
  role(thead, "rowgroup");
  role(body, "rowgroup");
  role(head, "row", { rowindex: 1 });
  thead.style.height = `${tall}px`;
  thead.append(head);
  grid.append(thead, body);
  frame.append(grid);
  for (let at = 0; at < data.columns.length; at++) fit(at);
  measure();
  room();
  tell();
  note.hidden = chips.hidden = true;
  const middle = make("div", "middle");
  middle.append(frame, ...(data.chart ? [chart(data.chart)] : []));
  box.append(bar, chips, middle, note, say, ...data.notes.map((n) => make("div", "dim note", n)));
  paint();
  new ResizeObserver(() => { if (frame.isConnected) paint(); }).observe(frame);
  return box;
}
