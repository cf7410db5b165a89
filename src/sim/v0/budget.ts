// What one scheduling call may still take: tokens and sequences. Law: SchedulingBudget of vllm/core/scheduler.py (0.6.6 to 0.10.2);
// tokens found in the cache cost nothing.

export class Budget {
  tokens = 0;
  sequences = 0;

  constructor(
    readonly maxTokens: number,
    readonly maxSequences: number,
  ) {}

  get tokensLeft(): number {
    return this.maxTokens - this.tokens;
  }

  fits(tokens: number, sequences: number): boolean {
    return this.tokens + tokens <= this.maxTokens && this.sequences + sequences <= this.maxSequences;
  }

  add(tokens: number, sequences: number): void {
    this.tokens += tokens;
    this.sequences += sequences;
  }
}
