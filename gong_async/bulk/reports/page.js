// Search in the table of items. The page is complete without it.
(() => {
  "use strict";
  const PAGE = 200;
  const list = document.getElementById("item-list");
  if (!list) return;
  const controls = document.getElementById("item-controls");
  const [query, state] = ["item-query", "item-state"].map((id) => document.getElementById(id));
  const count = document.getElementById("item-count");
  const results = document.getElementById("item-results");
  const number = new Intl.NumberFormat("en-US");
  const STATE = 2;
  let known = null;
  let found = [];
  let shown = 0;

  const read = () =>
    [...list.querySelectorAll("tbody > tr")].map((row) => ({
      row,
      text: [...row.cells].map((cell) => cell.textContent).join("\n").toLowerCase(),
      state: row.cells[STATE].textContent,
    }));

  const table = document.createElement("table");
  const body = document.createElement("tbody");
  const more = document.createElement("button");
  more.type = "button";
  const first = list.querySelector("table");
  table.className = first.className;
  table.append(first.caption.cloneNode(true), first.tHead.cloneNode(true), body);
  table.caption.textContent = "Items found";
  results.append(table, more);

  const show = () => {
    const next = found.slice(shown, shown + PAGE);
    body.append(...next.map((item) => item.row.cloneNode(true)));
    shown += next.length;
    more.hidden = shown >= found.length;
    more.textContent = `Show ${number.format(Math.min(PAGE, found.length - shown))} more`;
  };

  const search = () => {
    const words = query.value.toLowerCase().split(/\s+/).filter(Boolean);
    const wanted = state.value;
    const all = !words.length && !wanted;
    list.hidden = !all;
    results.hidden = all;
    count.textContent = "";
    if (all) return;
    known ??= read();
    found = known.filter(
      (item) => (!wanted || item.state === wanted) && words.every((word) => item.text.includes(word)),
    );
    body.replaceChildren();
    shown = 0;
    show();
    count.textContent = `${number.format(found.length)} of ${number.format(known.length)} items`;
  };

  let waiting = 0;
  query.addEventListener("input", () => {
    clearTimeout(waiting);
    waiting = setTimeout(search, 120);
  });
  state.addEventListener("change", search);
  more.addEventListener("click", show);
  controls.hidden = false;
  if (query.value || state.value) search();
})();
