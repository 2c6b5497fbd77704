export {type ServeOptions, serve} from './dropin/serve.js';
export {HttpError, type HttpErrorCode} from './errors.js';
export {type FolderOptions, serveFolder} from './serve-folder.js';
export {type Recovered, StaticServer} from './server.js';
