// A table of a result: sorted, filtered and paged where it stands.
const order = new Intl.Collator(undefined, { numeric: true });
const PAGE = 10;
const WHOLE = 20; // so many rows are shown without pages
const PLAIN = /^([-−]?)(\d+)(?:\.(\d+))?$/;
const NAMES_A_THING = /(^|[ _.-])(id|ids|key|code|no|nr|number|year|zip|plz|phone)$|Id$/i;

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

// How the numbers of a column are written: the digits behind the point that its values have, and whether thousands are
// set apart (not in what names a thing).
function writing(rows, index, { num, name }) {
  if (!num) return null;
  const parts = rows.map((row) => PLAIN.exec(row[index] ?? "")).filter(Boolean);
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

function cell(value, column, written) {
  const node = make("td", column.num ? "num" : "");
  node.append(...(value != null && written ? number(value, written) : [value ?? "NULL"]));
  if (value == null) node.classList.add("null");
  else if (value.length > 40) node.title = value;
  return node;
}

// `ask(question)` gives a page of the whole table from the kernel, or null when it has it no more.
function table(data, ask) {
  const box = make("section", "table");
  const state = { by: null, down: false, find: "", page: 0, asked: 0, partial: !ask };
  const bar = make("div", "bar");
  if (data.name) bar.append(copier(data.name, data.name, `Copy the name ${data.name}`));
  bar.append(make("span", "dim", data.shape));
  for (const [label, why] of data.badges) Object.assign(bar.appendChild(make("span", "badge", label)), { title: why });
  const frame = make("div", "frame"), grid = make("table"), head = make("tr"), body = make("tbody");
  const find = make("input", "find"), info = make("span", "dim info"), partial = make("div", "dim note", data.partial);
  const back = button("page", "‹", "Previous page"), next = button("page", "›", "Next page");
  Object.assign(find, { type: "search", placeholder: "Filter", ariaLabel: "Filter rows" });
  info.setAttribute("aria-live", "polite");

  const size = data.total > WHOLE ? PAGE : WHOLE;
  const lastPage = (found) => Math.max(0, Math.ceil(found / size) - 1);
  const written = data.columns.map((column, i) => writing(data.rows, i, column));

  const here = () => {
    const wanted = state.find.toLowerCase();
    const found = wanted ? data.rows.filter((row) => row.some((v) => v != null && v.toLowerCase().includes(wanted))) : [...data.rows];
    if (state.by != null) {
      const { num } = data.columns[state.by];
      found.sort((a, b) => {
        const [x, y] = [a[state.by], b[state.by]];
        return compare(x, y, num) * (state.down && x != null && y != null ? -1 : 1);
      });
    }
    const start = Math.min(state.page, lastPage(found.length)) * size;
    return { rows: found.slice(start, start + size), found: found.length };
  };
  const put = ({ rows, found }) => {
    const last = lastPage(found), from = Math.min(state.page, last) * size;
    state.page = from / size;
    body.replaceChildren(...rows.map((row) => {
      const line = make("tr");
      line.append(...row.map((value, i) => cell(value, data.columns[i], written[i])));
      return line;
    }));
    info.textContent = found ? `${(from + 1).toLocaleString()}–${(from + rows.length).toLocaleString()} of ${found.toLocaleString()}` : "no rows";
    partial.hidden = !(data.partial && state.partial);
    back.disabled = state.page === 0;
    next.disabled = state.page === last;
  };
  const draw = async () => {
    const asked = ++state.asked, start = state.page * size;
    [...head.children].forEach((node, i) =>
      node.setAttribute("aria-sort", state.by !== i ? "none" : state.down ? "descending" : "ascending"));
    if (data.partial && !state.partial) {
      if (state.by == null && !state.find && start + size <= data.rows.length) return put({ rows: data.rows.slice(start, start + size), found: data.total });
      const late = setTimeout(() => { info.textContent = "the kernel is busy …"; }, 700);
      const page = await ask({ by: state.by, down: state.down, find: state.find, start, count: size });
      clearTimeout(late);
      if (asked !== state.asked) return; // another question came meanwhile
      if (page) return put(page);
      state.partial = true;
    }
    put(here());
  };
  const hold = () => { frame.style.minHeight = `${frame.offsetHeight}px`; }; // a short page must not move what is below
  const turn = (step) => { hold(); state.page += step; draw(); };
  const resort = (index) => {
    // up, down, and as it came
    const again = state.by === index;
    Object.assign(state, { by: again && state.down ? null : index, down: again && !state.down, page: 0 });
    draw();
  };
  let typing;
  find.oninput = () => {
    hold();
    Object.assign(state, { find: find.value, page: 0 });
    clearTimeout(typing);
    typing = setTimeout(draw, data.partial && !state.partial ? 250 : 0); // every letter would ask the kernel
  };
  back.onclick = () => turn(-1);
  next.onclick = () => turn(1);
  head.append(...data.columns.map((column, i) => heading(column, i, resort)));
  grid.append(make("thead"), body);
  grid.firstChild.append(head);
  frame.append(grid);
  if (data.total > PAGE) {
    const tools = make("span", "tools");
    tools.append(find, info, ...(data.total > size ? [back, next] : []));
    bar.append(tools);
  }
  const middle = make("div", "middle");
  middle.append(frame, ...(data.chart ? [chart(data.chart)] : []));
  box.append(bar, middle, partial, ...data.notes.map((n) => make("div", "dim note", n)));
  draw();
  return box;
}
