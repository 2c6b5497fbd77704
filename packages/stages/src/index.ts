export {StagesError, type StagesErrorCode} from './errors.js';
export {type Commit, type Staged, Stages, type Steps, stages} from './stages.js';
