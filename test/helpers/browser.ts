// A headless Chromium for tests that look at pages, wherever this machine has one: named by CHROME_PATH, on the PATH, or where
// playwright would have put its own.
import { accessSync, constants } from 'node:fs';
import { delimiter, join } from 'node:path';
import { type Browser, chromium } from 'playwright-core';

const names = ['chromium-headless-shell', 'headless_shell', 'chromium', 'chromium-browser', 'google-chrome', 'chrome'];

export function browserPath(): string | undefined {
  const folders = (process.env.PATH ?? '').split(delimiter).filter(Boolean);
  const onPath = names.flatMap((name) => folders.map((folder) => join(folder, name)));
  return [process.env.CHROME_PATH, ...onPath, chromium.executablePath()].find((path) => path && canRun(path));
}

export function startBrowser(executablePath: string): Promise<Browser> {
  return chromium.launch({ executablePath });
}

function canRun(path: string): boolean {
  try {
    accessSync(path, constants.X_OK);
    return true;
  } catch {
    return false;
  }
}
