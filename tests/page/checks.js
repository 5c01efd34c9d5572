// What can be measured of how the page looks, for test_looks.py; one expression.
(() => {
  const canvas = document.createElement("canvas").getContext("2d", { willReadFrequently: true });

  function rgba(text) {
    canvas.clearRect(0, 0, 1, 1);
    canvas.fillStyle = text;
    canvas.fillRect(0, 0, 1, 1);
    const [r, g, b, a] = canvas.getImageData(0, 0, 1, 1).data;
    return [r, g, b, a / 255];
  }

  const over = (top, below) => [0, 1, 2].map((n) => top[n] * top[3] + below[n] * (1 - top[3]));

  function ancestors(element) {
    const found = [];
    for (let at = element; at; at = at.parentElement) found.push(at);
    return found;
  }

  function ground(element) {
    const colors = ancestors(element).map((at) => rgba(getComputedStyle(at).backgroundColor));
    return colors.reverse().reduce((below, top) => over(top, below), [255, 255, 255]);
  }

  function luminance(rgb) {
    const [r, g, b] = rgb
      .map((byte) => byte / 255)
      .map((part) => (part <= 0.04045 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4));
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  }

  // Each text that can be seen, against the colour that is really behind it (WCAG 2.2, 1.4.3).
  function poor() {
    const found = [];
    const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
    for (let node = walker.nextNode(); node; node = walker.nextNode()) {
      const element = node.parentElement;
      const seen = element.checkVisibility({ checkOpacity: true, checkVisibilityCSS: true });
      if (!node.data.trim() || !seen) continue;
      if (element.closest(".unseen, .skip, noscript, :disabled")) continue;
      const below = ground(element);
      const ink = rgba(getComputedStyle(element).color);
      for (const at of ancestors(element)) ink[3] *= Number(getComputedStyle(at).opacity);
      const [low, high] = [over(ink, below), below].map(luminance).sort((a, b) => a - b);
      const contrast = (high + 0.05) / (low + 0.05);
      if (contrast < 4.5) {
        found.push(`${contrast.toFixed(2)} ${element.className} ${node.data.slice(0, 30)}`);
      }
    }
    return found;
  }

  function nameless() {
    const wanted = "button, a, input, [role=img], dialog, aside, .histogram, [role=region]";
    const named = (e) =>
      e.getAttribute("aria-label") || e.getAttribute("aria-labelledby") || e.labels?.length;
    return [...document.querySelectorAll(wanted)]
      .filter((e) => e.checkVisibility() && !named(e) && !e.textContent.trim())
      .map((e) => e.outerHTML.slice(0, 100));
  }

  // No part may hang out of the window, and the page itself never scrolls.
  function outside() {
    const root = document.documentElement;
    const parts =
      "header button, .tools button, .entry, .message, .facets, .popup-body, .histogram";
    const hanging = [...document.querySelectorAll(parts)]
      .filter((e) => e.checkVisibility())
      .filter((e) => {
        const { left, right } = e.getBoundingClientRect();
        return right > innerWidth + 1 || left < -1;
      })
      .map((e) => `${e.className} ${e.ariaLabel ?? ""}`);
    if (root.scrollWidth > innerWidth) hanging.push("the page is too wide");
    if (root.scrollHeight > innerHeight) hanging.push("the page is too tall");
    return hanging;
  }

  return { poor, nameless, outside };
})()
