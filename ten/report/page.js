// Numbers under the pointer: read back from the lines themselves, so that the page holds them once.
"use strict";
for (const svg of document.querySelectorAll("svg.chart")) {
  const [x0, x1, left, right, unit, ratios] = svg.dataset.x.split(",");
  const [y0, y1, bottom, top, log] = svg.dataset.y.split(",").map(Number);
  const number = (value) => Math.abs(value) >= 1e4 || (value && Math.abs(value) < 1e-3)
    ? value.toPrecision(3).replace(/e\+?/, "e") : String(Number(value.toPrecision(4)));
  const short = (value) => {
    const [power, letter] = [[1e12, "T"], [1e9, "B"], [1e6, "M"], [1e3, "K"], [1, ""]].find(([p]) => value >= p) || [1, ""];
    return Number((value / power).toPrecision(4)) + letter;
  };
  const across = (pixel) => {
    const part = (pixel - left) / (right - left);
    return Number(ratios) ? x0 * (x1 / x0) ** part : Number(x0) + part * (x1 - x0);
  };
  const up = (pixel) => {
    const part = (pixel - bottom) / (top - bottom);
    return log ? y0 * (y1 / y0) ** part : y0 + part * (y1 - y0);
  };
  let lines = null;
  let rule = null;
  let tip = null;
  const leave = () => { rule?.remove(); tip?.remove(); rule = tip = null; };
  const read = () => [...svg.querySelectorAll("path.line")].map((path) => ({
    label: path.dataset.label,
    points: path.getAttribute("d").split("M").flatMap((piece) => {
      const found = piece.trim().split(/[\sZ]+/).filter(Boolean).map(Number);
      return found.length > 1 ? Array.from({ length: found.length >> 1 }, (_, i) => [found[2 * i], found[2 * i + 1]]) : [];
    }),
  }));
  svg.addEventListener("pointerleave", leave);
  svg.addEventListener("pointermove", (event) => {
    lines ||= read();
    const box = svg.getBoundingClientRect();
    const scale = box.width / svg.viewBox.baseVal.width;
    const at = (event.clientX - box.left) / scale;
    if (at < left || at > right) { leave(); return; }
    if (!rule) {
      rule = document.createElementNS("http://www.w3.org/2000/svg", "line");
      rule.setAttribute("class", "rule");
      rule.setAttribute("y1", top);
      rule.setAttribute("y2", bottom);
      svg.append(rule);
      tip = svg.closest("figure").appendChild(document.createElement("div"));
      tip.className = "tip";
    }
    rule.setAttribute("x1", at);
    rule.setAttribute("x2", at);
    const near = lines.filter((line) => line.points.length).map((line) => {
      const [, y] = line.points.reduce((best, point) => Math.abs(point[0] - at) < Math.abs(best[0] - at) ? point : best);
      return (lines.length > 1 ? line.label[0] + "  " : "") + number(up(y));
    });
    tip.textContent = [short(across(at)) + (unit.startsWith("tokens") ? " tokens" : unit === "spent" ? " $" : unit === "layer" ? "" : " s"), ...near].join("\n");
    const figure = tip.parentElement.getBoundingClientRect();
    const x = event.clientX - figure.left + 14;
    tip.style.left = Math.max(0, Math.min(x, figure.width - tip.offsetWidth)) + "px";
    tip.style.top = box.top - figure.top + 6 + "px";
  });
}
