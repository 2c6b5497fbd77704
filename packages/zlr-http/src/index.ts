export {HttpError, type HttpErrorCode} from './errors.js';
export {type Recovered, StaticServer} from './server.js';
