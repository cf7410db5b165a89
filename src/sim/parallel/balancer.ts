// Which data-parallel rank a request goes to: vLLM's internal load balancer. It sees counts of waiting and running requests that the
// ranks publish a few times a second, and counts what it sent since. Law: vllm/v1/engine/core_client.py DPLBAsyncMPClient and
// coordinator.py (0.9 to 0.33): the least 4 x waiting + running, the first rank among equals.

interface RankCounts {
  waiting: number;
  running: number;
}

export class Balancer {
  private readonly known: RankCounts[];
  private publishedAt = Number.NEGATIVE_INFINITY;

  /** `interval`: seconds between two publications at least; 0: after every step. */
  constructor(
    ranks: number,
    private readonly interval: number,
  ) {
    this.known = Array.from({ length: ranks }, () => ({ waiting: 0, running: 0 }));
  }

  /** The rank for the next request, which counts as waiting there until the next publication. */
  choose(): number {
    let best = 0;
    let least = Number.POSITIVE_INFINITY;
    this.known.forEach(({ waiting, running }, rank) => {
      const score = 4 * waiting + running;
      if (score < least) {
        least = score;
        best = rank;
      }
    });
    this.known[best]!.waiting += 1;
    return best;
  }

  /** Every rank's counts as they are, unless the last time was less than the interval ago; always at time Infinity. */
  publish(now: number, count: (rank: number, into: RankCounts) => void): void {
    if (now - this.publishedAt < this.interval) return;
    if (Number.isFinite(now)) this.publishedAt = now;
    this.known.forEach((counts, rank) => {
      count(rank, counts);
    });
  }
}
