// The live card of one tool call. Everything shown comes from outside: it is put on the page as text nodes only.
const make = (tag, name, text) => {
  const node = document.createElement(tag);
  if (name) node.className = name;
  if (text != null) node.textContent = text;
  return node;
};
const button = (name, text, label) => {
  const node = make("button", name, text);
  node.type = "button";
  if (label) node.title = node.ariaLabel = label;
  return node;
};
const span = (seconds) =>
  seconds < 60 ? `${seconds.toFixed(1)} s` : `${Math.floor(seconds / 60)} min ${String(Math.floor(seconds % 60)).padStart(2, "0")} s`;
const order = new Intl.Collator(undefined, { numeric: true });
const PAGE = 10;

function argument({ name, short, parts }) {
  const row = make("div", short ? "arg short" : "arg");
  const value = make(short ? "code" : "pre");
  value.append(...parts.map(([code, piece]) => (code ? make("span", code, piece) : piece)));
  const { length } = value.textContent, lines = value.textContent.split("\n").length;
  const size = length > 2000 || lines > 30 ? ` · ${lines.toLocaleString()} lines, ${length.toLocaleString()} characters, scroll for all` : "";
  if (size) value.tabIndex = 0;
  row.append(make("span", "dim key", short ? name + ":" : name + size), value);
  return row;
}

function compare(a, b, numeric) {
  if (a == null || b == null) return (a == null) - (b == null);
  const gap = numeric ? Number(a) - Number(b) : 0;
  return gap || order.compare(a, b); // the collator tells apart integers that a double cannot hold
}

function heading(column, index, resort) {
  const cell = make("th", column.num ? "num" : "");
  const press = button("sort");
  press.append(make("span", "name", column.name), make("span", "kind dim", column.kind));
  press.title = column.origin ? `${column.kind}, ${column.origin}` : column.kind;
  press.onclick = () => resort(index);
  cell.append(press);
  return cell;
}

function cell(value, column) {
  const node = make("td", column.num ? "num" : "", value ?? "NULL");
  if (value == null) node.classList.add("null");
  else if (value.length > 40) node.title = value;
  return node;
}

function table(data) {
  const box = make("section", "table");
  const state = { by: null, down: false, find: "", page: 0 };
  const bar = make("div", "bar");
  if (data.name) bar.append(copier(data.name));
  bar.append(make("span", "dim", data.shape));
  for (const [label, why] of data.badges) Object.assign(bar.appendChild(make("span", "badge", label)), { title: why });
  const frame = make("div", "frame"), grid = make("table"), head = make("tr"), body = make("tbody");
  const find = make("input", "find"), info = make("span", "dim info");
  const back = button("page", "‹", "Previous page"), next = button("page", "›", "Next page");
  Object.assign(find, { type: "search", placeholder: "Filter", ariaLabel: "Filter rows" });
  info.setAttribute("aria-live", "polite");

  const rows = () => {
    const wanted = state.find.toLowerCase();
    const found = wanted ? data.rows.filter((row) => row.some((v) => v != null && v.toLowerCase().includes(wanted))) : [...data.rows];
    if (state.by == null) return found;
    const { num } = data.columns[state.by];
    return found.sort((a, b) => {
      const [x, y] = [a[state.by], b[state.by]];
      return compare(x, y, num) * (state.down && x != null && y != null ? -1 : 1);
    });
  };
  const draw = () => {
    const found = rows(), last = Math.max(0, Math.ceil(found.length / PAGE) - 1);
    state.page = Math.min(state.page, last);
    const from = state.page * PAGE, some = found.slice(from, from + PAGE);
    body.replaceChildren(...some.map((row) => {
      const line = make("tr");
      line.append(...row.map((value, i) => cell(value, data.columns[i])));
      return line;
    }));
    info.textContent = found.length ? `${from + 1}–${from + some.length} of ${found.length.toLocaleString()}` : "no rows";
    back.disabled = state.page === 0;
    next.disabled = state.page === last;
    [...head.children].forEach((node, i) =>
      node.setAttribute("aria-sort", state.by !== i ? "none" : state.down ? "descending" : "ascending"));
  };
  const turn = (step) => {
    frame.style.minHeight = `${frame.offsetHeight}px`; // a short last page must not move what is below
    state.page += step;
    draw();
  };
  const resort = (index) => {
    state.down = state.by === index && !state.down;
    Object.assign(state, { by: index, page: 0 });
    draw();
  };
  find.oninput = () => { frame.style.minHeight = `${frame.offsetHeight}px`; Object.assign(state, { find: find.value, page: 0 }); draw(); };
  back.onclick = () => turn(-1);
  next.onclick = () => turn(1);
  head.append(...data.columns.map((column, i) => heading(column, i, resort)));
  grid.append(make("thead"), body);
  grid.firstChild.append(head);
  frame.append(grid);
  if (data.rows.length > PAGE) {
    const tools = make("span", "tools");
    tools.append(find, info, back, next);
    bar.append(tools);
  }
  box.append(bar, frame, ...data.notes.map((n) => make("div", "dim note", n)));
  draw();
  return box;
}

function copier(name) {
  const press = button("copy", name, `Copy the name ${name}`), mark = make("span", "dim mark");
  press.append(mark);
  press.onclick = async () => {
    try { await navigator.clipboard.writeText(name); } catch { getSelection().selectAllChildren(press); }
    mark.textContent = "copied";
    setTimeout(() => { mark.textContent = ""; }, 1200);
  };
  return press;
}

function outcome(result) {
  const parts = (result.tables || []).map(table);
  if (result.error) parts.push(make("pre", "error", result.error));
  if (result.text) parts.push(make("pre", "", result.text));
  parts.push(...(result.notes || []).map((note) => make("div", "dim note", note)));
  for (const { url, note } of result.images || [])
    parts.push(url ? Object.assign(make("img"), { src: url, alt: "image from the tool" }) : make("div", "dim note", note));
  if (result.seen) {
    const seen = make("details", "seen");
    seen.append(make("summary", "dim", result.seen_label), make("pre", "", result.seen));
    parts.push(seen);
  }
  return parts;
}

function reason(row, send) {
  const press = button("why", "Deny with a reason…"), field = make("input", "find reason");
  Object.assign(field, { maxLength: 1500, placeholder: "Why? Claude is told. Enter sends, Escape goes back.", ariaLabel: "Reason of the denial" });
  const swap = (from, to) => {
    from.replaceWith(to);
    to.toggleAttribute("data-lm-suppress-shortcuts", true); // a moment ago it was reached by mouse
    to.focus();
  };
  press.onclick = () => swap(press, field);
  field.addEventListener("keydown", (event) => {
    if (event.key !== "Escape" && (event.key !== "Enter" || event.isComposing)) return;
    event.preventDefault();
    event.stopPropagation(); // the notebook would take it for its own
    if (event.key === "Escape") swap(field, press);
    else send(field.value.trim() ? `deny: ${field.value.trim()}` : "deny");
  });
  row.append(press);
}

function secrets(call, reveal) {
  const line = make("div", "claims secrets", `Secrets are sent but not shown: ${call.hidden.join(", ")}. `);
  const press = button("show", "Show them");
  press.setAttribute("aria-pressed", "false");
  press.onclick = () => {
    const shown = press.getAttribute("aria-pressed") !== "true";
    press.setAttribute("aria-pressed", shown);
    press.textContent = shown ? "Hide them" : "Show them";
    reveal(shown);
  };
  if (call.buttons) line.append(press);
  return line;
}

function approval(call, send, reveal) {
  const panel = make("div", "approval"), row = make("div", "row");
  panel.setAttribute("role", "group");
  panel.ariaLabel = `Approval of ${call.server}.${call.tool}`;
  panel.append(make("div", "ask", "Claude asks to run this call."));
  for (const text of [call.claims, call.history]) if (text) panel.append(make(text.length > 300 ? "pre" : "div", "dim claims", text));
  if (call.hidden.length) panel.append(secrets(call, reveal));
  if (!call.whole) panel.append(make("div", "claims", "It is too long to be shown whole, so it can only be denied here."));
  if (!call.buttons) row.append(make("span", "dim", "Answer in the box below."));
  else {
    const answer = (value) => {
      for (const node of row.querySelectorAll("button, input")) node.disabled = true;
      send(value);
    };
    for (const [value, text, meaning] of [...(call.whole ? call.choices : []), ["deny", "Deny", "Claude is told that you do not want this call."]]) {
      const press = button(value, text, meaning);
      press.ariaLabel = text;
      press.onclick = () => answer(value);
      row.append(press);
      if (value === "server") panel.append(make("div", "dim claims", meaning));
    }
    reason(row, answer);
    for (const node of row.children) node.disabled = true; // for a moment: a click meant for what was here before must not answer
    setTimeout(() => { for (const node of row.children) node.disabled = false; }, 350);
  }
  panel.append(row);
  return panel;
}

function render({ model, el }) {
  const call = model.get("call");
  el.classList.add("mcpn");
  // JupyterLab takes Enter and letters for its own; whoever came here by keyboard means this element.
  el.addEventListener("focusin", ({ target }) =>
    target.toggleAttribute("data-lm-suppress-shortcuts", target.matches(":focus-visible")));
  const card = make("details", "card"), top = make("summary"), line = make("span", "line");
  const mark = make("b", "mark"), name = make("code", "name"), hint = make("code", "dim hint"), end = make("span", "dim end");
  const bar = make("i", "progress"), body = make("div", "body"), args = make("div"), ask = make("div"), out = make("div");
  name.append(call.server + ".", make("b", "", call.tool));
  line.append(mark, name, hint, end);
  top.append(line, bar);
  body.append(args, ask, out);
  card.append(top, body);
  el.append(card);

  // Secrets come in a message when they are asked for: they are never part of the model's state, which may be saved.
  const masked = () => args.replaceChildren(...call.args.map(argument));
  const reveal = (shown) => (shown ? model.send({ show: true }) : masked());
  model.on("msg:custom", ({ shown }) => { if (shown && card.dataset.status === "approval") args.replaceChildren(...shown.map(argument)); });

  let timer, since;
  const tick = () => {
    const { fraction } = model.get("head"), part = fraction == null ? "" : `${Math.round(fraction * 100)} % · `;
    end.textContent = part + span((performance.now() - since) / 1000);
  };
  const state = () => {
    const head = model.get("head"), running = head.status === "running", asks = head.status === "approval";
    if (card.dataset.status !== head.status) {
      card.dataset.status = head.status;
      clearInterval(timer);
      if (running) [since, timer] = [performance.now(), setInterval(tick, 100)];
      masked();
      ask.replaceChildren(...(asks ? [approval(call, (answer) => model.send({ answer }), reveal)] : []));
      if (asks || head.status === "error") card.open = true;
      else if (running || head.status === "denied") card.open = model.get("expanded");
    }
    mark.textContent = head.mark;
    mark.ariaLabel = head.label;
    hint.textContent = (running && head.message) || call.preview;
    bar.style.width = running && head.fraction != null ? `${head.fraction * 100}%` : "0";
    if (running) tick();
    else end.textContent = [head.outcome, head.time].filter(Boolean).join(" · ");
  };
  const result = () => out.replaceChildren(...outcome(model.get("result")));
  card.ontoggle = () => {
    if (card.dataset.status === "approval" || model.get("expanded") === card.open) return;
    model.set("expanded", card.open);
    model.save_changes();
  };
  model.on("change:head", state);
  model.on("change:result", result);
  card.open = model.get("expanded");
  state();
  result();
  return () => clearInterval(timer);
}

export default { render };
