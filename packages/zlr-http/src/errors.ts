export type HttpErrorCode = 'ROOT_UNUSABLE' | 'OPTION_INVALID' | 'NODE_UNSUITABLE';

/** An error of setting up the server; `code` is stable. What clients do wrong is answered, never thrown. */
export class HttpError extends Error {
  override readonly name = 'HttpError';
  readonly code: HttpErrorCode;

  constructor(code: HttpErrorCode, message: string) {
    super(message);
    this.code = code;
  }
}
