/** The policy is changed: a few fields, online. Pure. */
import { DEFAULT_POLICY, type Policy, resolvePolicy } from '../policy.ts';
import type { Change, ClusterState } from '../state.ts';
import { change } from './change.ts';

/** On top of what is set. Persisted is what differs from the defaults. Throws `invalid/POLICY`. */
export function setPolicy(state: ClusterState, fields: Partial<Policy>): Change<Policy> {
  const policy = resolvePolicy({ ...state.policy, ...fields });
  const names = Object.keys(policy) as (keyof Policy)[];
  if (names.every((name) => policy[name] === state.policy[name])) return change(state, [], policy);
  const record = Object.fromEntries(names.filter((name) => policy[name] !== DEFAULT_POLICY[name]).map((name) => [name, policy[name]]));
  return change(state, [{ kind: 'policy', id: 0, record }], policy);
}
