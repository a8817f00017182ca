/** The page's modules without the page, for tests in a browser. */
export * from "../src/link";
export * from "../src/page";
export * from "../src/runtime";
export * from "../src/training";
