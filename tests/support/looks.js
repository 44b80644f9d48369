// What a person would see wrong with a page: texts over each other, over marks, cut off, too faint.
// Loaded into a page under test by tests/support/looks.py.
(() => {
  const isSeen = (box) => box.width > 0 && box.height > 0;

  // A font's box is taller than its letters; the letters are what may not touch.
  const ink = (box, what) => ({
    what,
    left: box.left + 0.5,
    right: box.right - 0.5,
    top: box.top + box.height * 0.16,
    bottom: box.bottom - box.height * 0.16,
  });

  const cut = (text) => text.trim().slice(0, 50);

  const texts = () => {
    const found = [];
    const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
    for (let node = walker.nextNode(); node; node = walker.nextNode()) {
      const parent = node.parentElement;
      if (!node.data.trim() || ["title", "desc", "TITLE", "STYLE"].includes(parent.tagName)) continue;
      const range = document.createRange();
      range.selectNodeContents(node);
      for (const box of range.getClientRects())
        if (isSeen(box)) found.push({ ...ink(box, cut(node.data)), element: parent });
    }
    return found;
  };

  const meet = (one, other) =>
    one.left < other.right && other.left < one.right && one.top < other.bottom && other.top < one.bottom;
  const holds = (shape, text) =>
    shape.left <= text.left && text.right <= shape.right && shape.top <= text.top && text.bottom <= shape.bottom;

  const crowded = () => {
    const all = texts().sort((one, other) => one.top - other.top);
    const found = [];
    all.forEach((one, place) => {
      for (let next = place + 1; next < all.length && all[next].top < one.bottom; next++)
        if (meet(one, all[next])) found.push(`${one.what} | ${all[next].what}`);
    });
    // In a picture a text stands wholly in a mark or wholly outside of it.
    for (const picture of document.querySelectorAll("svg[role=img]")) {
      const marks = [...picture.querySelectorAll("rect, g.band, path.area")].map((mark) => [
        mark.getBoundingClientRect(),
        mark.getAttribute("class"),
      ]);
      for (const text of all.filter((text) => picture.contains(text.element)))
        for (const [mark, name] of marks)
          if (isSeen(mark) && meet(text, mark) && !(holds(mark, text) && name !== "band"))
            found.push(`${text.what} | ${name}`);
    }
    return found;
  };

  const outside = () => {
    const found = texts()
      .filter((text) => text.left < 0 || text.right > innerWidth)
      .map((text) => text.what);
    for (const picture of document.querySelectorAll("svg[role=img]")) {
      const frame = picture.getBoundingClientRect();
      if (!isSeen(frame)) continue;
      for (const part of picture.querySelectorAll("text, rect, path, line, circle")) {
        const box = part.getBoundingClientRect();
        const name = `${picture.getAttribute("class")}: ${part.tagName} ${cut(part.textContent)}`;
        if (box.left < frame.left - 0.5 || box.right > frame.right + 0.5) found.push(name);
        const drawn = part.tagName === "text" ? ink(box, name) : box;
        if (drawn.top < frame.top - 1 || drawn.bottom > frame.bottom + 1) found.push(name);
      }
      if (frame.left < 0 || frame.right > innerWidth + 0.5) found.push(picture.getAttribute("class"));
    }
    if (document.documentElement.scrollWidth > innerWidth) found.push("the page scrolls sideways");
    return found;
  };

  const rgba = (color) => {
    const [red, green, blue, alpha = 1] = color.match(/[\d.]+/g).map(Number);
    return { red, green, blue, alpha };
  };
  const over = (top, below) => {
    const mixed = { alpha: 1 };
    for (const part of ["red", "green", "blue"])
      mixed[part] = top[part] * top.alpha + below[part] * (1 - top.alpha);
    return mixed;
  };
  const luminance = (color) => {
    const [red, green, blue] = [color.red, color.green, color.blue].map((part) =>
      part / 255 <= 0.04045 ? part / 255 / 12.92 : ((part / 255 + 0.055) / 1.055) ** 2.4,
    );
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue;
  };
  const contrast = (one, other) => {
    const [dark, light] = [luminance(one), luminance(other)].sort((a, b) => a - b);
    return (light + 0.05) / (dark + 0.05);
  };

  // The colour behind an element: the nearest painted box around it, else the window.
  const behind = (element) => {
    for (let at = element; at; at = at.parentElement) {
      const color = rgba(getComputedStyle(at).backgroundColor);
      if (color.alpha === 1) return color;
    }
    return matchMedia("(prefers-color-scheme: dark)").matches &&
      getComputedStyle(document.documentElement).colorScheme.includes("dark")
      ? rgba("rgb(18, 18, 18)")
      : rgba("rgb(255, 255, 255)");
  };

  const ground = (text) => {
    const picture = text.element.closest("svg");
    let color = behind(picture || text.element);
    if (!picture) return color;
    for (const mark of picture.querySelectorAll("rect")) {
      const style = getComputedStyle(mark);
      if (style.fill === "none" || !holds(mark.getBoundingClientRect(), text)) continue;
      const fill = rgba(style.fill);
      color = over({ ...fill, alpha: fill.alpha * Number(style.fillOpacity) }, color);
    }
    return color;
  };

  const opacity = (element) => {
    let product = 1;
    for (let at = element; at; at = at.parentElement) product *= Number(getComputedStyle(at).opacity);
    return product;
  };

  const faint = () => {
    const found = new Set();
    for (const text of texts()) {
      const style = getComputedStyle(text.element);
      const below = ground(text);
      const color = rgba(text.element.closest("svg") ? style.fill : style.color);
      const seen = over({ ...color, alpha: color.alpha * opacity(text.element) }, below);
      const size = parseFloat(style.fontSize);
      const isLarge = size >= 24 || (size >= 18.66 && Number(style.fontWeight) >= 700);
      const reached = contrast(seen, below);
      if (reached < (isLarge ? 3 : 4.5)) found.add(`${text.what}: ${reached.toFixed(2)}`);
    }
    return [...found];
  };

  // How many squares each visible band of the map has, as it is drawn.
  const bands = () =>
    [...document.querySelectorAll("svg.fleet g.band")]
      .filter((band) => isSeen(band.getBoundingClientRect()))
      .map((band) => {
        const named = band.querySelectorAll("path > title").length;
        if (named) return named;
        const line = [...band.querySelectorAll("path.dashes")].at(-1);
        const [pitch, side] = [
          line.getAttribute("stroke-dasharray").split(" ").map(Number).reduce((a, b) => a + b),
          Number(line.getAttribute("stroke-width")),
        ];
        const rows = line.getAttribute("d").split("M").length - 1;
        return Math.round((line.getTotalLength() + rows * (pitch - side)) / pitch);
      });

  return { crowded, outside, faint, bands };
})()
