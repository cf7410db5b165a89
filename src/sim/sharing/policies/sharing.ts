// The interface of a policy by which models share pages: whether a model may have one more, keeps an empty one, and what happens between
// steps. One object serves all models of a run. A static split needs none: its pools have a fixed size.
import type { Tenant } from '../tenant.ts';

export interface Sharing {
  /** Who finds no memory now may find some later. */
  readonly mayGrow: boolean;
  /** Its first pages are mapped. */
  begun?(tenant: Tenant): void;
  /** Page ids that a model could map now, on demand. */
  mappable(tenant: Tenant): number;
  /** A block is wanted and no mapped page has one. */
  demand(tenant: Tenant): boolean;
  /** Whether a page that has become empty stays mapped (beyond the model's minimum). */
  keeps(tenant: Tenant): boolean;
  /** Before each pass of a model's scheduler. */
  beforeStep?(tenant: Tenant, now: number): void;
  /** After each pass. */
  afterStep?(tenant: Tenant, now: number): void;
  /** The model has nothing to do any more; its last step took so many seconds. */
  idle?(tenant: Tenant, now: number, stepSeconds: number): void;
  /** When the policy wants to act by itself; Infinity: never. */
  nextTime?(): number;
  act?(now: number): void;
}
