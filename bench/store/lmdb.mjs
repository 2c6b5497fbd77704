/**
 * lmdb at its fastest: on a tmpfs, without a sync, which a process' death does not need.
 * @param {Pick<import('./measured.mjs').Place, 'folder' | 'defer'>} place
 * @returns {Promise<any>}
 */
export async function openLmdb({folder, defer}, options = {}) {
  const {open} = await import('lmdb');
  const db = open({path: folder, noSync: true, ...options});
  defer(() => db.close());
  return db;
}
