// A classic script in the head: a theme that was chosen is there before anything is painted.
(() => {
  try {
    const { theme } = JSON.parse(localStorage.getItem("wharfinger.looks")) ?? {};
    if (theme === "light" || theme === "dark") document.documentElement.dataset.theme = theme;
  } catch {
    // The system's theme does as well.
  }
})();
