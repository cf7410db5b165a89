// Reads a list of prices (--prices FILE.yaml); what a price means is plan/price.ts's business.
import { InputError } from '../diagnostics.ts';
import { type PriceOverrides, pricesFrom } from '../plan/price.ts';
import { type LoadContext, readText } from './context.ts';
import { printable } from './names.ts';

/** Throws InputError for a file that cannot be read (VRAM1xx) or prices that are none (VRAM178). */
export async function readPrices(path: string, context: LoadContext = {}): Promise<PriceOverrides> {
  const { parseYaml } = await import('./yaml.ts');
  const file = printable(path, 300);
  const { value, diagnostics } = parseYaml(readText(path, context, '--prices'), file);
  if (diagnostics.length > 0) throw new InputError(diagnostics);
  return pricesFrom(value, file);
}
