// llama.cpp's builds in time: b4753, b10361 by number, and the version tags that replaced them in 2026-09. A build is known by a
// number that orders all of them; which rules hold for it stands in presets/engines/llamacpp.

/** Position in time: the build number; version tags count on from 10900. */
export type BuildNumber = number;

/** Builds whose answers were read byte by byte. */
export const readBuilds = ['b4753', 'b5640', 'b6673', 'b8390', 'b10068', 'b10361', 'v0.5.0'] as const;
export const newestBuild = 'v0.5.0';
/** Published loads back to here are planned, by the rules of b4753. */
export const oldestBuild = 'b2600';

const versionTags: Readonly<Record<string, BuildNumber>> = { 'v0.5.0': 10_900 };

/** b<number>, <number>, or v<major>.<minor>.<patch>; undefined for anything else. A later tag counts after every one known. */
export function buildNumber(text: string): BuildNumber | undefined {
  const build = /^b?(\d{1,6})$/.exec(text.trim());
  if (build) return Number(build[1]);
  const tag = /^v?(\d{1,3})\.(\d{1,3})(?:\.(\d{1,3}))?$/.exec(text.trim());
  if (!tag) return undefined;
  const name = `v${tag[1]}.${tag[2]}.${tag[3] ?? 0}`;
  if (Object.hasOwn(versionTags, name)) return versionTags[name];
  const [major, minor, patch] = [Number(tag[1]), Number(tag[2]), Number(tag[3] ?? 0)];
  return 10_900 + (major * 1000 + minor * 10 + patch - 50);
}
