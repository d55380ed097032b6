// Which answers are still news: those to one question may come in another order than they were asked for, and something
// may have been changed meanwhile.

export interface Order {
  /** A question is asked. Gives what tells, once when its answer is there, whether that is to be applied. */
  ask(): () => boolean;
  /** Something was changed: what was asked before is answered by what was before. */
  changed(): void;
}

export function order(): Order {
  let asked = 0;
  let newest = 0;
  return {
    ask() {
      asked += 1;
      const mine = asked;
      return () => {
        if (mine <= newest) return false;
        newest = mine;
        return true;
      };
    },
    changed() {
      newest = asked;
    },
  };
}
