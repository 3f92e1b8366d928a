// A question as a form in the cell. It comes after the other files that widgets.py names, in one module.
let count = 0;

function text(field) {
  const types = { email: "email", uri: "url", date: "date", integer: "number", number: "number" };
  const { minimum, maximum, maxLength } = field.limits;
  const node = make("input");
  node.type = field.secret ? "password" : (types[field.format] ?? types[field.kind] ?? "text");
  if (field.secret) node.autocomplete = "off";
  if (field.kind === "number") node.step = "any";
  if (minimum != null) node.min = minimum;
  if (maximum != null) node.max = maximum;
  if (maxLength != null) node.maxLength = maxLength;
  node.value = field.default ?? "";
  return [node, () => node.value];
}

function choice(field) {
  const node = make("select");
  if (!field.required || field.default == null) node.append(new Option("–", ""));
  for (const [value, label] of field.choices) node.append(new Option(label, value));
  node.value = field.default ?? "";
  return [node, () => node.value];
}

function choices(field) {
  const node = make("div", "several");
  const boxes = field.choices.map(([value, label]) => {
    const line = make("label"), box = make("input");
    Object.assign(box, { type: "checkbox", value, checked: (field.default ?? []).includes(value) });
    line.append(box, label);
    node.append(line);
    return box;
  });
  return [node, () => boxes.filter((box) => box.checked).map((box) => box.value)];
}

function yes(field) {
  const node = make("input");
  Object.assign(node, { type: "checkbox", checked: field.default === true });
  return [node, () => node.checked];
}

const KINDS = { boolean: yes, choice, choices };

function row(field) {
  const line = make("div", `field ${field.kind}`);
  const [node, value] = (KINDS[field.kind] ?? text)(field);
  const label = make("label", "", field.title), hint = make("div", "hint", field.description), wrong = make("div", "wrong");
  if (node.matches("input, select")) label.htmlFor = node.id = `mcpn-field-${++count}`;
  if (field.required && field.kind !== "boolean") label.append(make("span", "needed", " *"));
  wrong.setAttribute("role", "alert");
  line.append(label, node, hint, wrong);
  hint.hidden = !field.description;
  return { line, value, node, name: field.name, say: (said) => (wrong.textContent = said ?? "") };
}

function render({ model, el }) {
  const ask = model.get("ask"), [[first]] = ask.choices;
  const box = make("form", "ask-card"), rows = ask.fields.map(row);
  const values = () => Object.fromEntries(rows.map((r) => [r.name, r.value()]));
  const send = (reply) => model.send({ ...reply, values: values() });
  box.noValidate = true; // what is wrong is said by the kernel, in our words
  box.append(make("div", "title", ask.title));
  if (ask.message) box.append(make("div", "message", ask.message));
  for (const note of ask.notes) {
    const warning = make("div", "warning", note);
    warning.setAttribute("role", "note");
    box.append(warning);
  }
  if (ask.detail) box.append(make("pre", "", ask.detail));
  if (ask.url) box.append(make("div", "address", ask.shown_url));
  box.append(...rows.map((r) => r.line));
  // A page that answers by itself, or whose link is the answer, needs no button for it.
  const choices = ask.opens || ask.comes_back ? [] : ask.choices;
  const bar = answers({ ...ask, choices }, send, !rows.length);
  const go = bar.querySelector("button");
  if (ask.url) {
    const link = make("a", "go", `Open ${ask.host}`);
    Object.assign(link, { href: ask.url, target: "_blank", rel: "noopener noreferrer" });
    if (ask.opens) link.onclick = () => send({ answer: first });
    bar.prepend(link);
  } else go.classList.add("go");
  box.append(bar);
  const filled = () => { if (rows.length) send({ answer: first }); };
  box.onsubmit = (event) => {
    event.preventDefault();
    filled();
  };
  for (const name of ["keydown", "keyup", "keypress"])
    box.addEventListener(name, (event) => {
      event.stopPropagation(); // JupyterLab's shortcuts stay out of what is typed
      if (name === "keydown" && event.key === "Enter" && event.target.matches("input") && rows.length) {
        event.preventDefault();
        filled();
      }
    });
  const told = () => {
    const wrong = model.get("wrong");
    for (const r of rows) r.say(wrong[r.name]);
    rows.find((r) => wrong[r.name])?.node.focus?.();
  };
  model.on("change:wrong", told);
  el.classList.add("mcpn-ask");
  el.append(box);
  return () => model.off("change:wrong", told);
}

export default { render };
