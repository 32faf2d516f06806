/**
 * What remains to be done when an operator is given up. Mostly nothing: a learner that is too many, or a replica of nobody, is tidied like any other. A merge
 * whose source is sealed gets it opened again, and what was copied is discarded; should the source be retired on the way, by an order that came late, it goes on to its end
 * after all. Pure. Called by changes/operators.ts.
 */
import type { OperatorRecord, Step } from '../operator.ts';
import type { ClusterState } from '../state.ts';

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

/** What remains to be done when a merge that is being undone finds its source retired: its keys are nobody's until the target has them. Undefined: it is not so. */
export function onwardOf({ shards }: Pick<ClusterState, 'shards'>, { steps, at, undoing }: OperatorRecord): readonly Step[] | undefined {
  const undo = undoing === undefined ? undefined : steps.slice(at).find((step) => step.type === 'unseal');
  if (undo?.type !== 'unseal') return undefined;
  const [target, source] = [shards.get(undo.shard), shards.get(undo.source)];
  if (target === undefined || source?.record.descriptor.state !== 'retired') return undefined;
  const epoch = Math.max(target.record.descriptor.epoch, source.record.descriptor.epoch) + 1;
  return [
    { shard: target.id, type: 'commit-merge', source: source.id, epoch },
    { shard: source.id, type: 'destroy-shard' },
  ];
}
