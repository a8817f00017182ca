/** Chromium, and what goes wrong in its tabs. */
import { chromium } from "playwright-core";

const FLAGS =
  "--no-sandbox --disable-gpu --disable-quic --no-first-run --disable-background-networking " +
  "--disable-component-update --disable-sync";

export const launch = () =>
  chromium.launch({
    executablePath: process.env.CHROMIUM ?? "/usr/bin/chromium",
    args: FLAGS.split(" "),
  });

/** Tells what the page reports as an error, or loads from elsewhere than url. */
export function watch(page, url, tell) {
  page.on("console", (message) => message.type() === "error" && tell(message.text()));
  page.on("pageerror", (error) => tell(error.message));
  page.on("request", (request) => {
    const own = [url, "data:", "blob:"].some((start) => request.url().startsWith(start));
    if (!own) tell(`loads ${request.url()}`);
  });
}
