export {fetchStatus, listServices, requestStop, type Status} from './client.js';
export {ShimError, type ShimErrorCode} from './errors.js';
export {EX_CONFIG, type FaultRecord} from './fault.js';
export {
  currentKeeper,
  endOrderly,
  generation,
  getreginfo,
  isSupervised,
  type Registration,
  type RegistrationInfo,
  reportServed,
  reregist,
} from './registration.js';
export {type SuperviseOptions, type Supervisor, supervise} from './supervisor.js';
