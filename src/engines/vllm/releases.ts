// The releases whose sources were read, and which of them stands for a release that was not: the next one read in the same
// minor line, else the last one of it. A release newer than all follows the newest, and the plan says so.
import { compareVersions, parseVersion, type Version } from './profile.ts';

export const readReleases = [
  '0.6.3.post1',
  // Known by its start-up log only: it counts the CUDA context that its neighbours leave out.
  '0.6.4',
  '0.6.6.post1',
  '0.7.3',
  '0.8.5.post1',
  '0.9.2',
  '0.10.0',
  '0.10.1.1',
  '0.10.2',
  '0.11.0',
  '0.11.2',
  '0.12.0',
  '0.13.0',
  '0.14.1',
  '0.15.1',
  '0.16.0',
  '0.17.1',
  '0.18.1',
  '0.19.1',
  '0.20.2',
  '0.21.0',
  '0.22.1',
  '0.23.0',
  '0.24.0',
  '0.25.1',
  '0.26.0',
  '0.27.1',
  '0.28.0',
  '0.29.0',
  '0.30.0',
  '0.31.0',
  '0.32.0',
  '0.33.0',
] as const;

export const newestRelease = readReleases[readReleases.length - 1]!;
export const oldestRelease = readReleases[0];

export type ReleaseMatch =
  /** The release itself was read, or one of its minor line stands for it. */
  | { kind: 'known'; release: string }
  /** Newer than every release read: planned as the newest. */
  | { kind: 'newer'; release: string }
  /** Before 0.6, or a minor line that does not exist. */
  | { kind: 'unsupported' }
  | { kind: 'malformed' };

export function matchRelease(version: string): ReleaseMatch {
  const wanted = parseVersion(version);
  if (!wanted) return { kind: 'malformed' };
  const line = readReleases.filter((release) => sameMinor(parseVersion(release)!, wanted));
  if (line.length > 0) {
    const next = line.find((release) => compareVersions(parseVersion(release)!, wanted) >= 0);
    return { kind: 'known', release: next ?? line[line.length - 1]! };
  }
  if (compareVersions(wanted, parseVersion(newestRelease)!) > 0) return { kind: 'newer', release: newestRelease };
  return { kind: 'unsupported' };
}

/** Position of a read release in time; -1 for anything else. */
export function releaseIndex(release: string): number {
  return (readReleases as readonly string[]).indexOf(release);
}

/** Whether `release` (a read release) lies in [since, until], both read releases, open where absent. */
export function inRange(release: string, since?: string, until?: string): boolean {
  const at = releaseIndex(release);
  return (since === undefined || at >= releaseIndex(since)) && (until === undefined || at <= releaseIndex(until));
}

function sameMinor(a: Version, b: Version): boolean {
  return a[0] === b[0] && a[1] === b[1];
}
