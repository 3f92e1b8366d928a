// The state line: counts by the browser's clock. Everything shown comes from outside: text nodes only.
const make = (tag, name, text) => Object.assign(document.createElement(tag), { className: name, textContent: text });
const span = (s) => (s < 60 ? `${s.toFixed(1)} s` : `${Math.floor(s / 60)} min ${String(Math.floor(s % 60)).padStart(2, "0")} s`);

function render({ model, el }) {
  el.classList.add("mcpn-sign");
  const line = make("div", "line", ""), text = make("span", "", ""), time = make("span", "time", "");
  const more = make("details", "", ""), said = make("pre", "", "");
  line.setAttribute("role", "status");
  time.ariaHidden = "true"; // a screen reader hears what goes on, not every tenth of a second
  line.append(make("i", "turn", ""), text, time);
  more.append(make("summary", "", "what it says of its thinking"), said);
  el.append(line, more);
  let since = 0;
  const begin = () => {
    const { text: words, seconds } = model.get("line");
    since = performance.now() - 1000 * seconds;
    text.textContent = words;
  };
  const think = () => {
    said.textContent = model.get("thinking");
    more.hidden = !said.textContent;
  };
  const tick = () => { time.textContent = ` · ${span((performance.now() - since) / 1000)}`; };
  model.on("change:line", begin);
  model.on("change:thinking", think);
  begin();
  think();
  tick();
  const timer = setInterval(tick, 100);
  return () => {
    clearInterval(timer);
    model.off("change:line", begin);
    model.off("change:thinking", think);
  };
}

export default { render };
