// A server's question to the person. Everything shown comes from outside: it is put on the page as text nodes only.
const make = (tag, name, text) => {
  const node = document.createElement(tag);
  if (name) node.className = name;
  if (text != null) node.textContent = text;
  return node;
};
const button = (name, text, press) => {
  const node = make("button", name, text);
  node.type = "button";
  node.onclick = press;
  return node;
};
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
  const ask = model.get("ask");
  const box = make("form", "ask-card"), rows = ask.fields.map(row);
  const send = (action, values) => model.send({ action, values });
  const values = () => Object.fromEntries(rows.map((r) => [r.name, r.value()]));
  box.noValidate = true; // what is wrong is said by the kernel, in our words
  box.append(make("div", "title", ask.title));
  if (ask.message) box.append(make("div", "message", ask.message));
  if (ask.warning) {
    const warning = make("div", "warning", ask.warning);
    warning.setAttribute("role", "note");
    box.append(warning);
  }
  if (ask.detail) box.append(make("pre", "", ask.detail));
  if (ask.url) box.append(make("div", "address", ask.shown_url));
  box.append(...rows.map((r) => r.line));
  const bar = make("div", "row"), decline = button("", "Decline", () => send("decline"));
  const paste = make("input", "paste");
  if (ask.kind === "form") bar.append(button("go", "Send", () => send("accept", values())), decline);
  if (ask.kind === "choice")
    bar.append(
      button("go", "Allow once", () => send("accept", {})),
      button("", "Always for this server", () => send("accept", { always: true })),
      decline,
    );
  if (ask.url) {
    const link = make("a", "go", `Open ${ask.host}`);
    Object.assign(link, { href: ask.url, target: "_blank", rel: "noopener noreferrer" });
    if (ask.kind === "link") link.onclick = () => send("accept", {});
    bar.append(link);
    if (ask.paste) {
      Object.assign(paste, { type: "text", placeholder: "Paste the final address", ariaLabel: "Address" });
      bar.append(paste, button("", "Done", () => send("accept", { address: paste.value })));
    }
    bar.append(decline);
  }
  box.append(bar);
  box.onsubmit = (event) => {
    event.preventDefault();
    if (ask.kind === "form") send("accept", values());
  };
  for (const name of ["keydown", "keyup", "keypress"])
    box.addEventListener(name, (event) => {
      event.stopPropagation(); // JupyterLab's shortcuts stay out of what is typed
      if (name === "keydown" && event.key === "Enter" && event.target.matches("input") && ask.kind === "form") {
        event.preventDefault();
        send("accept", values());
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
