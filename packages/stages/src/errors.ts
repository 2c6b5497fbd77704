export type StagesErrorCode = 'STAGES_INVALID' | 'STAGE_ORDER';

/** An error of staged work; `code` is stable. */
export class StagesError extends Error {
  override readonly name = 'StagesError';
  readonly code: StagesErrorCode;

  constructor(code: StagesErrorCode, message: string) {
    super(message);
    this.code = code;
  }
}
