// Answers that may be older than what has happened since they were asked for: it is repeated on each of them.

type Change<T> = (value: T) => T;

export interface Meanwhile<T> {
  /** Asks. With the answer comes what makes of it what it is by now. */
  ask<A>(question: () => Promise<A>): Promise<{ answer: A; repeat: Change<T> }>;
  /** Something has happened: answers that are on their way may not have it. */
  happened(change: Change<T>): void;
}

export function meanwhile<T>(): Meanwhile<T> {
  const underWay = new Set<Change<T>[]>();
  return {
    async ask(question) {
      const changes: Change<T>[] = [];
      underWay.add(changes);
      try {
        const answer = await question();
        return { answer, repeat: (value) => changes.reduce((before, change) => change(before), value) };
      } finally {
        underWay.delete(changes);
      }
    },
    happened(change) {
      for (const changes of underWay) changes.push(change);
    },
  };
}
