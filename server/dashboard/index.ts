/** What an operator looks at in a browser. */
export type { ClusterView } from './cluster-view.ts';
export { type ClusterSource, Dashboard, type SurveyedView } from './dashboard.ts';
