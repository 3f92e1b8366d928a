// The live card of one tool call. It comes after the other files that card.py names, in one module.
const span = (seconds) =>
  seconds < 60 ? `${seconds.toFixed(1)} s` : `${Math.floor(seconds / 60)} min ${String(Math.floor(seconds % 60)).padStart(2, "0")} s`;

// `cell`: the line of a cell that runs the same SQL by hand.
function argument({ name, short, parts }, cell) {
  const row = make("div", short ? "arg short" : "arg");
  const value = make(short ? "code" : "pre");
  value.append(...parts.map(([code, piece]) => (code ? make("span", code, piece) : piece)));
  const { length } = value.textContent, lines = value.textContent.split("\n").length;
  const size = length > 2000 || lines > 30 ? ` · ${lines.toLocaleString()} lines, ${length.toLocaleString()} characters, scroll for all` : "";
  if (size) value.tabIndex = 0;
  const key = make("span", "dim key", short ? name + ":" : name + size);
  if (cell) key.append(copier("copy as cell", `${cell}\n${value.textContent}`, "Copy as a cell that runs it without the model"));
  row.append(key, value);
  return row;
}

// A page of a whole table. The kernel may be busy for long; one that is gone never answers.
function looking(model) {
  const waiting = new Map(), patience = 30_000;
  let last = 0;
  const hear = ({ looked, page }, buffers) => waiting.get(looked)?.(page && buffers?.length ? { ...page, bytes: buffers[0] } : page);
  model.on("msg:custom", hear);
  return (table) => (asked) => new Promise((done) => {
    const id = `${Math.random()}-${++last}`; // another view of the same card hears the answers too
    const end = (page) => { waiting.delete(id); clearTimeout(timer); done(page ?? null); };
    const timer = setTimeout(end, patience);
    waiting.set(id, end);
    try { model.send({ look: { ...asked, table, id } }); } catch { end(); }
  });
}

function outcome(result, look) {
  const parts = (result.tables || []).map((data, at) => table(data, look(at)));
  if (result.error) parts.push(make("pre", "error", result.error));
  if (result.text) parts.push(folded(result));
  parts.push(...(result.notes || []).map((note) => make("div", "dim note", note)));
  for (const { url, note } of result.images || [])
    parts.push(url ? Object.assign(make("img"), { src: url, alt: "image from the tool" }) : make("div", "dim note", note));
  for (const { title, code } of result.charts || []) parts.push(captioned(title, code));
  if (result.seen) parts.push(fold(result.seen_label, result.seen));
  return parts;
}

// A long text beside tables says in words what they hold: it is there for who wants it.
function folded({ text, text_label }) {
  return text_label ? fold(text_label, text) : make("pre", "", text);
}

function fold(label, text) {
  const box = make("details", "seen");
  box.append(make("summary", "dim", label), make("pre", "", text));
  return box;
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
  const panel = make("div", "approval");
  panel.setAttribute("role", "group");
  panel.ariaLabel = `Approval of ${call.server}.${call.tool}`;
  panel.append(make("div", "ask", "Claude asks to run this call."));
  for (const text of [call.claims, call.history]) if (text) panel.append(make(text.length > 300 ? "pre" : "div", "dim claims", text));
  if (call.hidden.length) panel.append(secrets(call, reveal));
  if (!call.whole) panel.append(make("div", "claims", "It is too long to be shown whole, so it can only be denied here."));
  if (!call.buttons) panel.append(make("div", "row dim", "Answer in the box below."));
  else {
    const choices = call.whole ? call.choices : [];
    for (const [value, , meaning] of choices) if (value === "server") panel.append(make("div", "dim claims", meaning));
    panel.append(answers({ ...call, choices }, send));
  }
  return panel;
}

function render({ model, el }) {
  const call = model.get("call");
  el.classList.add("mcpn");
  // JupyterLab takes Enter and letters for its own; whoever came here by keyboard means this element.
  el.addEventListener("focusin", ({ target }) => {
    const own = target.matches(":focus-visible, .frame, .popup *");
    for (const node of [target, el.getRootNode().host]) node?.toggleAttribute("data-lm-suppress-shortcuts", own);
  });
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
  const masked = () => args.replaceChildren(...call.args.map((one) => argument(one, call.cell)));
  const reveal = (shown) => (shown ? model.send({ show: true }) : masked());
  model.on("msg:custom", ({ shown }) => { if (shown && card.dataset.status === "approval") args.replaceChildren(...shown.map((one) => argument(one))); });

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
      ask.replaceChildren(...(asks ? [approval(call, (reply) => model.send(reply), reveal)] : []));
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
  const look = looking(model);
  const result = () => out.replaceChildren(...outcome(model.get("result"), look));
  card.ontoggle = () => {
    if (card.dataset.status === "approval" || model.get("expanded") === card.open) return;
    model.set("expanded", card.open);
    try { model.save_changes(); } catch { /* the kernel is gone: the page knows it, and nobody else needs to */ }
  };
  const unfold = () => { card.open = model.get("expanded"); };
  model.on("change:head", state);
  model.on("change:result", result);
  model.on("change:expanded", unfold);
  card.open = model.get("expanded");
  state();
  result();
  return () => {
    clearInterval(timer);
    model.off("change:head", state);
    model.off("change:result", result);
    model.off("change:expanded", unfold);
  };
}

export default { render, initialize: ({ model }) => stayAwake(model, render) };
