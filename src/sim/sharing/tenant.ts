// One model's part of the shared memory: the pages it has mapped and what mapping them took. It is what its block pool asks for pages;
// whether it gets one is the policy's (policies/). Laws: S2 a model holds page ids x bytes of a page id, no less than its minimum and
// no more than its virtual space; S3 a page that is given back holds nothing that anybody uses.
import { assert } from '../../assert.ts';
import type { MapCost } from '../../spec/sharing.ts';
import type { PagedSystem } from '../paged/system.ts';
import type { ElasticPool, PageSupply } from './elastic-pool.ts';
import type { Ledger } from './ledger.ts';
import type { Sharing } from './policies/sharing.ts';

export interface TenantSetup {
  index: number;
  devices: readonly number[];
  /** Bytes of a page id on each GPU: one page in every tensor. */
  pageBytes: number;
  /** Tensors that a page id has a page in. */
  tensors: number;
  /** Memory is handed out in pages that are mapped, not in single blocks. */
  inPages: boolean;
  /** Page ids that it always keeps. */
  minPages: number;
  priority: number;
  mapSeconds: MapCost;
  unmapSeconds: MapCost;
}

export class Tenant implements PageSupply {
  readonly pages = { mapped: 0, unmapped: 0, mapSeconds: 0, unmapSeconds: 0, denied: 0, peakMapped: 0 };
  /** Seconds that the next step takes longer: mapping on the scheduler's own thread. */
  private owed = 0;
  /** Its weights are elsewhere and its KV cache with them: nothing is held. */
  isAway = false;
  /** A pass that found too little memory is worth repeating then, whatever the others do. */
  retryAt = Number.POSITIVE_INFINITY;
  /** An empty page was taken, or it begins anew: its reserve may be short. */
  hasOpened = false;
  system: PagedSystem | undefined;
  private readonly mapTime: number;
  private readonly unmapTime: number;
  private isOff = false;

  constructor(
    readonly setup: TenantSetup,
    readonly pool: ElasticPool,
    readonly ledger: Ledger,
    private readonly sharing: Sharing,
  ) {
    const { tensors, mapSeconds, unmapSeconds } = setup;
    this.mapTime = mapSeconds.perPageId + tensors * mapSeconds.perPage;
    this.unmapTime = unmapSeconds.perPageId + tensors * unmapSeconds.perPage;
  }

  get heldBytes(): number {
    return this.isAway ? 0 : this.pool.mappedPages * this.setup.pageBytes;
  }

  get mayGrow(): boolean {
    return this.sharing.mayGrow;
  }

  /** What it takes on each GPU when its weights come: what it always keeps, or the pages that went out with them. */
  get entryBytes(): number {
    return Math.max(this.pool.mappedPages, this.leastPages) * this.setup.pageBytes;
  }

  /** Maps what it always keeps, and the page of the null block; whoever calls has seen that there is room. */
  begin(): void {
    this.mapUpTo(this.leastPages);
    this.pool.begin(this);
    this.sharing.begun?.(this);
  }

  mappable(): number {
    return this.isOff || this.isAway ? 0 : this.sharing.mappable(this);
  }

  demand(): boolean {
    return this.sharing.demand(this);
  }

  keeps(): boolean {
    return !this.isOff && (this.pool.mappedPages <= this.setup.minPages || this.sharing.keeps(this));
  }

  /** Its virtual space and its GPUs have room for a page id more. */
  get canMap(): boolean {
    const { devices, pageBytes } = this.setup;
    return !this.isAway && this.pool.pagesLeft > 0 && this.ledger.free(devices) >= pageBytes;
  }

  /** After a pass: a page was wanted (requests found no memory, their quota aside) that the virtual space has and the GPUs have not. */
  noteDenied(): void {
    const scheduler = this.system?.scheduler;
    if (!scheduler || scheduler.refused === 0 || scheduler.running.length >= scheduler.quota) return;
    const room = this.mappable();
    // Where nothing is mapped on demand the next pass may map one.
    if (room < this.pool.pagesLeft && !(room === 0 && this.canMap)) this.pages.denied++;
  }

  /** One page id more; `beside`: by a thread of its own, so that no step waits for it. False when the GPUs have no room. */
  map(when: 'in-step' | 'beside'): boolean {
    const { setup, pages, pool } = this;
    if (!this.canMap) return false;
    this.ledger.take(setup.devices, setup.pageBytes);
    pool.addPage();
    if (setup.inPages) pages.mapped++;
    pages.mapSeconds += this.mapTime;
    if (when === 'in-step') this.owed += this.mapTime;
    if (setup.inPages && pool.mappedPages > pages.peakMapped) pages.peakMapped = pool.mappedPages;
    return true;
  }

  opened(): void {
    this.hasOpened = true;
  }

  lacks(): void {
    this.pages.denied++;
  }

  unmapped(): void {
    const { setup, pages } = this;
    // Of what is on the host nothing is held here.
    if (this.isAway) return;
    this.ledger.give(setup.devices, setup.pageBytes);
    if (setup.inPages) pages.unmapped++;
    pages.unmapSeconds += this.unmapTime;
    this.owed += this.unmapTime;
  }

  /** The seconds owed, once. */
  settle(): number {
    const { owed } = this;
    this.owed = 0;
    return owed;
  }

  /** The engine ends: everything cached is lost, all pages but the null block's go, and that one with the weights. */
  clear(): void {
    this.isOff = true;
    this.pool.clear();
    this.leave();
  }

  /** KV cache moves to the host: what it is stays known, what it took is free. */
  leave(): void {
    if (this.isAway) return;
    this.ledger.give(this.setup.devices, this.pool.mappedPages * this.setup.pageBytes);
    this.isAway = true;
  }

  /** Back again, with all its pages, and what it always keeps; whoever calls has seen that there is room. */
  enter(): void {
    if (!this.isAway) return;
    const { ledger, pool, setup } = this;
    const isIn = ledger.take(setup.devices, pool.mappedPages * setup.pageBytes);
    assert(isIn, 'law S1: a model comes back where it has no room');
    this.isAway = false;
    this.isOff = false;
    this.hasOpened = true;
    this.mapUpTo(this.leastPages);
  }

  private get leastPages(): number {
    return Math.min(Math.max(1, this.setup.minPages), this.pool.pages);
  }

  private mapUpTo(pages: number): void {
    while (this.pool.mappedPages < pages) assert(this.map('beside'), 'law S1: a model begins where it has no room');
  }
}
