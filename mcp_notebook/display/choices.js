// The answers of a question, wherever it is shown: what may be chosen, what refuses it, and why it is refused.
// A click sends {answer, reason}; `once`: nothing can be wrong with it, so the buttons are done.
function answers(ask, send, once = true) {
  const row = make("div", "row");
  const all = (disabled) => { for (const node of row.querySelectorAll("button, input")) node.disabled = disabled; };
  const answer = (reply) => {
    if (once) all(true);
    send(reply);
  };
  for (const [value, text, meaning] of [...ask.choices, ask.refusal]) {
    const press = button(value, text, meaning);
    press.ariaLabel = text;
    press.onclick = () => answer({ answer: value });
    row.append(press);
  }
  if (ask.reason) reason(row, answer);
  all(true); // for a moment: a click meant for what was here before must not answer
  setTimeout(() => all(false), 350);
  return row;
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
    else send({ answer: "deny", reason: field.value.trim() });
  });
  row.append(press);
}
