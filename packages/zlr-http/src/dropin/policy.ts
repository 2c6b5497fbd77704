import {HttpError} from '../errors.js';
import type {Policy} from './judge.js';

/** As the variables of the environment have it. @throws HttpError OPTION_INVALID */
export function policyFrom(rerun = 'idempotent', attempts = '2'): Policy {
  if (rerun !== 'idempotent' && rerun !== 'all')
    throw new HttpError('OPTION_INVALID', `ZLR_HTTP_RERUN is '${rerun}'; expected idempotent or all`);
  if (!/^\d{1,6}$/.test(attempts))
    throw new HttpError(
      'OPTION_INVALID',
      `ZLR_HTTP_ATTEMPTS is '${attempts}'; expected a number from 0 to 999999`,
    );
  return {rerun, attempts: Number(attempts)};
}
