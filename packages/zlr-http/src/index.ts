export {HttpError, type HttpErrorCode} from './errors.js';
export {type Recovered, type ServeOptions, StaticServer} from './server.js';
