// Preact with htm, from the classic scripts that stand before this module in the page.

import htm from "./vendor/htm-3.1.1.module.js";

const { h, render, Component, Fragment, createRef } = globalThis.preact;
const { useState, useEffect, useLayoutEffect, useRef, useMemo, useCallback } = globalThis.preactHooks;

// What comes from logs reaches the document as text nodes alone: there is no innerHTML anywhere.
export const html = htm.bind(h);
export { Component, Fragment, createRef, render };
export { useCallback, useEffect, useLayoutEffect, useMemo, useRef, useState };
