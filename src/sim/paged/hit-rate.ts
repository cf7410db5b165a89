// The prefix-cache hit rate as vLLM logs it: over the most recent requests, in whole observations.
// Law: CachingMetrics in vllm/v1/metrics/stats.py.

export class HitRate {
  requests = 0;
  queries = 0;
  hits = 0;
  private readonly observations: { requests: number; queries: number; hits: number }[] = [];

  constructor(private readonly maxRecentRequests = 1000) {}

  get rate(): number {
    return this.queries === 0 ? 0 : this.hits / this.queries;
  }

  /** Adds an observation; the oldest ones go while there are more requests than the window holds and more than one observation. */
  observe(requests: number, queries: number, hits: number): void {
    if (requests === 0) return;
    this.observations.push({ requests, queries, hits });
    this.requests += requests;
    this.queries += queries;
    this.hits += hits;
    while (this.requests > this.maxRecentRequests && this.observations.length > 1) {
      const oldest = this.observations.shift();
      this.requests -= oldest?.requests ?? 0;
      this.queries -= oldest?.queries ?? 0;
      this.hits -= oldest?.hits ?? 0;
    }
  }

  reset(): void {
    this.observations.length = 0;
    this.requests = 0;
    this.queries = 0;
    this.hits = 0;
  }
}
