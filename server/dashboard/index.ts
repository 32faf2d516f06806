/** What an operator looks at in a browser. */
export { type ClusterSource, Dashboard, type SurveyedView } from './dashboard.ts';
export { viewOfSurvey } from './view-of-survey.ts';
