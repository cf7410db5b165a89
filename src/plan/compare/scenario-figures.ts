// A figure of a scenario in a sentence, with its unit.

export function figureText(value: number, unit: string): string {
  if (!Number.isFinite(value)) return 'not known';
  switch (unit) {
    case '%':
      return `${(value * 100).toFixed(1)} %`;
    case 's':
      return secondsText(value);
    case 'tokens':
    case 'tokens/s':
    case 'sequences':
    case 'count':
      return withUnit(grouped(value), unit === 'count' ? '' : unit);
    case 'GiB':
      return `${(value / 2 ** 30).toFixed(1)} GiB`;
    default:
      return withUnit(plain(value), unit);
  }
}

/** "0.62 against 0.44 USD/M": a unit that both share is said once. */
export function pairText(a: number, b: number, unit: string): string {
  const [first, second] = [figureText(a, unit), figureText(b, unit)];
  const [, number, own] = /^(\S+) (.+)$/.exec(first) ?? [];
  return `${own !== undefined && second.endsWith(` ${own}`) ? number : first} against ${second}`;
}

function withUnit(text: string, unit: string): string {
  return unit === '' ? text : `${text} ${unit}`;
}

function secondsText(value: number): string {
  if (Math.abs(value) < 0.9995) return `${threeDigits(value * 1000)} ms`;
  return `${threeDigits(value)} s`;
}

function plain(value: number): string {
  return Math.abs(value) < 0.1 && value !== 0 ? value.toPrecision(2) : value.toFixed(2);
}

function grouped(value: number): string {
  if (Math.abs(value) < 100 && !Number.isInteger(value)) return threeDigits(value);
  return Math.round(value)
    .toString()
    .replace(/\B(?=(\d{3})+$)/g, ',');
}

function threeDigits(value: number): string {
  const size = Math.abs(value);
  return value.toFixed(size >= 99.95 ? 0 : size >= 9.995 ? 1 : 2);
}
