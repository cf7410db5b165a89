// Requests that gave all their memory back because it did not hold them. Alone in its server such a request preempts itself, and would
// only come as far again with what it gave back: it waits for what others give. Several of them can take memory from each other for ever
// without a token in between; after a while they go one by one, each with what all the others gave back.
import type { Engine } from './engine.ts';

/** So many tries in a row without a token in between: they only take turns. */
const patience = 256;

export class VainTries {
  private count = 0;
  /** Who tries alone while the others wait, and who has done so since the last token. */
  private alone: Engine | undefined;
  private readonly hadTheirs = new Set<Engine>();

  /** After a pass of an engine; `freed` counts the times that memory came free. */
  note(engine: Engine, isStep: boolean, freed: number): void {
    const { paged, tenant } = engine;
    if (!paged || !tenant) return;
    if (isStep && paged.work.rows > 0) {
      this.count = 0;
      this.hadTheirs.clear();
    }
    if (!paged.scheduler.outgrown) return;
    this.alone = undefined;
    this.count++;
    engine.outgrownAt = { freed, mapped: tenant.pool.mappedPages };
  }

  /** Whether another try would come no further. */
  isVain(engine: Engine, freed: number): boolean {
    const { paged, tenant, outgrownAt } = engine;
    const outgrown = paged?.scheduler.outgrown;
    if (!outgrown || !tenant || paged.scheduler.running.length > 0) return false;
    if (paged.scheduler.line.length === 0 || paged.scheduler.line.next.peek() !== outgrown) return false;
    if (this.count > patience) return this.alone !== engine;
    return outgrownAt.freed === freed && outgrownAt.mapped === tenant.pool.mappedPages;
  }

  /** Who tries next, alone, of those that may (the first goes first); undefined when all have, or nobody tries in vain. */
  next(candidates: readonly Engine[]): Engine | undefined {
    if (this.count <= patience) return undefined;
    const next = candidates.find((engine) => engine.paged?.scheduler.outgrown && !this.hadTheirs.has(engine));
    if (!next) return undefined;
    this.alone = next;
    this.hadTheirs.add(next);
    return next;
  }
}
