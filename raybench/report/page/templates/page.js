// Long tables: a filter, pages, and columns that sort. Without this script every row is simply there.
"use strict";
(() => {
  const PAGE = 25;
  const number = (cell) => {
    if (cell.classList.contains("name")) return NaN;
    const found = (cell.dataset.value ?? cell.textContent).replace(/,/g, "").match(/-?\d+(\.\d+)?(e[-+]?\d+)?/i);
    return found ? parseFloat(found[0]) : NaN;
  };
  for (const table of document.querySelectorAll("table.long")) {
    const body = table.tBodies[0];
    const rows = [...body.rows];
    const place = table.closest(".scroll");
    const tools = document.createElement("div");
    tools.className = "tools";
    const label = document.createElement("label");
    label.textContent = "Filter ";
    const input = document.createElement("input");
    input.type = "search";
    label.append(input);
    const back = document.createElement("button");
    const next = document.createElement("button");
    back.type = next.type = "button";
    back.textContent = "Previous";
    next.textContent = "Next";
    const told = document.createElement("span");
    told.setAttribute("role", "status");
    let page = 0;
    let kept = rows;
    const show = () => {
      const pages = Math.max(1, Math.ceil(kept.length / PAGE));
      page = Math.min(Math.max(0, page), pages - 1);
      const shown = new Set(kept.slice(page * PAGE, (page + 1) * PAGE));
      for (const row of rows) row.hidden = !shown.has(row);
      back.disabled = page === 0;
      next.disabled = page === pages - 1;
      const of = kept.length === rows.length ? "" : ` of ${rows.length}`;
      told.textContent = `${kept.length}${of} rows, page ${page + 1} of ${pages}`;
    };
    input.addEventListener("input", () => {
      const words = input.value.toLowerCase().split(/\s+/).filter(Boolean);
      kept = [...body.rows].filter((row) => words.every((word) => row.textContent.toLowerCase().includes(word)));
      page = 0;
      show();
    });
    back.addEventListener("click", () => { page -= 1; show(); });
    next.addEventListener("click", () => { page += 1; show(); });
    if (rows.length > PAGE) {
      tools.append(label, back, next, told);
      place.before(tools);
    }
    [...table.tHead.rows[table.tHead.rows.length - 1].cells].forEach((head, column) => {
      const button = document.createElement("button");
      button.type = "button";
      button.append(...head.childNodes);
      head.append(button);
      button.addEventListener("click", () => {
        const down = head.getAttribute("aria-sort") === "ascending";
        for (const other of head.parentNode.cells) other.removeAttribute("aria-sort");
        head.setAttribute("aria-sort", down ? "descending" : "ascending");
        const key = (row) => row.cells[column];
        const order = (a, b) => {
          const x = number(key(a)), y = number(key(b));
          if (Number.isNaN(x) !== Number.isNaN(y)) return Number.isNaN(x) ? 1 : -1;
          const found = Number.isNaN(x) ? key(a).textContent.localeCompare(key(b).textContent) : x - y;
          return down ? -found : found;
        };
        const sorted = [...body.rows].sort(order);
        body.append(...sorted);
        const keep = new Set(kept);
        kept = sorted.filter((row) => keep.has(row));
        page = 0;
        show();
      });
    });
    show();
  }
})();
