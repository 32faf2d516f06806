/** What an operator looks at in a browser. */
export { type ClusterSource, Dashboard, type Surveyed } from './dashboard.ts';
export { messageOfPoint, pointOfMessage } from './history-messages.ts';
export { viewOfSurvey } from './view-of-survey.ts';
