export {
  type NotedSegment,
  notedSegments,
  noteSegments,
  openModule,
  serviceNumber,
  standBy,
} from './backend/module.js';
export {fetchStatus, listServices, requestRestart, requestStop} from './control/client.js';
export {type LogLine, LogReader} from './control/log.js';
export type {FaultRecord, Restarted, RestartOptions, RestartSteps, Status} from './control/status.js';
export {ShimError, type ShimErrorCode} from './errors.js';
export {type KeptFile, openBeneath} from './files.js';
export {
  childId,
  currentKeeper,
  endOrderly,
  generation,
  getreginfo,
  type HandedFile,
  isSupervised,
  ownName,
  type Registration,
  type RegistrationInfo,
  reportBlamed,
  reportServed,
  reregist,
  standsBy,
  turn,
  untilTurn,
  whenRenewed,
  whenStandingBy,
} from './registration.js';
export {type Books, type LocalAddress, listen, localAddress, readBooks} from './sockets.js';
export {EX_CONFIG} from './supervisor/fault.js';
export type {Aging} from './supervisor/health.js';
export type {SuperviseOptions, Supervisor} from './supervisor/options.js';
export {supervise} from './supervisor/supervise.js';
