/**
 * What remains to be done when an operator is given up. Mostly nothing: a learner that is too many, or a replica of nobody, is tidied like any other. A merge
 * whose source is sealed gets it opened again, and what was copied is discarded. Pure. Called by changes/operators.ts.
 */
import type { OperatorRecord, Step } from '../operator.ts';

/** `refused`: whoever was to carry the step out says that it was not done and cannot be. Undefined: there is no way back. */
export function undoOf({ steps, at }: Pick<OperatorRecord, 'steps' | 'at'>, refused: boolean): readonly Step[] | undefined {
  const step = steps[at];
  if (step === undefined) return [];
  switch (step.type) {
    case 'seal':
      return [{ shard: step.shard, type: 'unseal', source: step.source }];
    case 'import':
    case 'retire':
      // Once it was ordered nobody knows whether it has happened, but for the shard itself, whose log refuses it in its turn: written since, it is as it was.
      if (step.type === 'retire' && !refused) return undefined;
      return [
        { shard: step.shard, type: 'discard', source: step.source },
        { shard: step.shard, type: 'unseal', source: step.source },
      ];
    // Nothing that is forgotten here is lost: the steps are idempotent, and go on.
    case 'commit-merge':
    case 'destroy-shard':
      return undefined;
    default:
      return [];
  }
}
