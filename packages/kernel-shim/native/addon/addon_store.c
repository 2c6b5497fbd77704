/*
 * What the state store asks of the kernel: locks that end with their holder, whatever ends it, and the places where
 * segments are mapped. TypeScript decides; a failure is a negative errno.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <sys/ipc.h>
#include <sys/mman.h>
#include <sys/sem.h>
#include <sys/shm.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "napi.h"

/* --- locks on a file: man 2 fcntl, open file description locks ---------------------------------------------------- */

static struct flock range(napi_env env, const struct args *args, short type) {
  return (struct flock){.l_type = type,
                        .l_whence = SEEK_SET,
                        .l_start = get_int(env, args->at[1]),
                        .l_len = get_int(env, args->at[2])};
}

static napi_value set_lock(napi_env env, napi_callback_info info, short type) {
  struct args args = get_args(env, info);
  struct flock lock = range(env, &args, type);
  return make_int(env, fcntl(get_int(env, args.at[0]), F_OFD_SETLK, &lock) ? -errno : 0);
}

/* fileLock(fd, first, count): 0, or -errno; -EAGAIN: another open file description has one of these bytes */
static napi_value file_lock(napi_env env, napi_callback_info info) { return set_lock(env, info, F_WRLCK); }

/* fileUnlock(fd, first, count): 0 or -errno */
static napi_value file_unlock(napi_env env, napi_callback_info info) { return set_lock(env, info, F_UNLCK); }

/* fileIsLocked(fd, first, count): 1: by another open file description; 0, or -errno */
static napi_value file_is_locked(napi_env env, napi_callback_info info) {
  struct args args = get_args(env, info);
  struct flock lock = range(env, &args, F_WRLCK);
  if (fcntl(get_int(env, args.at[0]), F_OFD_GETLK, &lock)) return make_int(env, -errno);
  return make_int(env, lock.l_type != F_UNLCK);
}

/* renameNew(from, to): 0 or -errno; never replaces a file, which rename() does and link() leaves a second name for */
static napi_value rename_new(napi_env env, napi_callback_info info) {
  struct args args = get_args(env, info);
  char *from = get_string(env, args.at[0]), *to = get_string(env, args.at[1]);
  const long error = syscall(SYS_renameat2, AT_FDCWD, from, AT_FDCWD, to, RENAME_NOREPLACE) ? -errno : 0;
  free(from);
  free(to);
  return make_int(env, error);
}

/* --- semaphores: man 2 semop, SEM_UNDO ------------------------------------------------------------------------------ */

/* semOpen(key, count, make): id or -errno. A set that is made here is this user's alone, all zeros. */
static napi_value sem_open_set(napi_env env, napi_callback_info info) {
  struct args args = get_args(env, info);
  const int flags = get_int(env, args.at[2]) ? IPC_CREAT | 0600 : 0;
  const int id = semget((key_t)get_uint(env, args.at[0]), get_int(env, args.at[1]), flags);
  return make_int(env, id < 0 ? -errno : id);
}

/*
 * semChange(id, Int32Array [number, change, ...]): all of it at once, or nothing: 0, or -errno; -EAGAIN: it cannot be now. A
 * change of 0 asks for a 0. The kernel takes the changes back when this process ends.
 */
static napi_value sem_change(napi_env env, napi_callback_info info) {
  enum { MOST = 8 };
  struct args args = get_args(env, info);
  size_t length;
  void *data;
  MUST(napi_get_typedarray_info(env, args.at[1], NULL, &length, &data, NULL, NULL));
  const int32_t *pairs = data;
  if (length > 2 * MOST) return make_int(env, -E2BIG);
  struct sembuf operations[MOST];
  for (size_t i = 0; i < length / 2; i++) {
    const short change = (short)pairs[2 * i + 1];
    operations[i] = (struct sembuf){.sem_num = (unsigned short)pairs[2 * i],
                                    .sem_op = change,
                                    .sem_flg = (short)(IPC_NOWAIT | (change ? SEM_UNDO : 0))};
  }
  return make_int(env, semop(get_int(env, args.at[0]), operations, length / 2) ? -errno : 0);
}

/* semValue(id, number): its value, or -errno */
static napi_value sem_value(napi_env env, napi_callback_info info) {
  struct args args = get_args(env, info);
  const int value = semctl(get_int(env, args.at[0]), get_int(env, args.at[1]), GETVAL);
  return make_int(env, value < 0 ? -errno : value);
}

/* semPid(id, number): who changed it last, as this process numbers processes, 0 if it does not; or -errno */
static napi_value sem_pid(napi_env env, napi_callback_info info) {
  struct args args = get_args(env, info);
  const int pid = semctl(get_int(env, args.at[0]), get_int(env, args.at[1]), GETPID);
  return make_int(env, pid < 0 ? -errno : pid);
}

/* semRemove(id): 0 or -errno */
static napi_value sem_remove(napi_env env, napi_callback_info info) {
  struct args args = get_args(env, info);
  return make_int(env, semctl(get_int(env, args.at[0]), 0, IPC_RMID) ? -errno : 0);
}

/* --- segments --------------------------------------------------------------------------------------------------------- */

/* shmPin(id): one more attach, for as long as the process lives: 0 or -errno */
static napi_value shm_pin(napi_env env, napi_callback_info info) {
  struct args args = get_args(env, info);
  return make_int(env, (intptr_t)shmat(get_int(env, args.at[0]), NULL, 0) == -1 ? -errno : 0);
}

/*
 * shmDetach(typed array over the mapping): 0 or -errno. Every view of it has no bytes from then on. Its first page stays
 * taken, by nothing: who still remembers the address, and gives it to shmdt(), must not hit what came there since.
 */
static napi_value shm_detach(napi_env env, napi_callback_info info) {
  struct args args = get_args(env, info);
  size_t bytes;
  void *data;
  napi_value buffer;
  MUST(napi_get_typedarray_info(env, args.at[0], NULL, &bytes, &data, &buffer, NULL));
  MUST(napi_detach_arraybuffer(env, buffer));
  const size_t page = (size_t)sysconf(_SC_PAGESIZE), pages = (bytes + page - 1) / page;
  const int flags = MAP_FIXED | MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE;
  if (mmap(data, page, PROT_NONE, flags, -1, 0) == MAP_FAILED) return make_int(env, -errno);
  if (pages > 1 && munmap((char *)data + page, (pages - 1) * page)) return make_int(env, -errno);
  return make_int(env, 0);
}

/*
 * notOnHeap(bytes): V8 takes the bytes of a mapping that a buffer was made of for memory that a collection could give back, and collects, as long
 * as there is more of it than it likes, whenever anything is made. This takes so many out of its account; a negative number puts them back.
 */
static napi_value not_on_heap(napi_env env, napi_callback_info info) {
  struct args args = get_args(env, info);
  int64_t now;
  MUST(napi_adjust_external_memory(env, -(int64_t)get_double(env, args.at[0]), &now));
  return make_int(env, 0);
}

/* shmRemove(id): 0 or -errno; the pages go with the last who has it attached */
static napi_value shm_remove(napi_env env, napi_callback_info info) {
  struct args args = get_args(env, info);
  return make_int(env, shmctl(get_int(env, args.at[0]), IPC_RMID, NULL) ? -errno : 0);
}

/* addressOf(typed array): where its bytes lie in this process, as a bigint */
static napi_value address_of(napi_env env, napi_callback_info info) {
  struct args args = get_args(env, info);
  napi_value out;
  MUST(napi_create_bigint_uint64(env, (uintptr_t)get_bytes(env, args.at[0]), &out));
  return out;
}

void zlr_export_store(napi_env env, napi_value exports) {
  export_function(env, exports, "fileLock", file_lock);
  export_function(env, exports, "fileUnlock", file_unlock);
  export_function(env, exports, "fileIsLocked", file_is_locked);
  export_function(env, exports, "renameNew", rename_new);
  export_function(env, exports, "semOpen", sem_open_set);
  export_function(env, exports, "semChange", sem_change);
  export_function(env, exports, "semValue", sem_value);
  export_function(env, exports, "semPid", sem_pid);
  export_function(env, exports, "semRemove", sem_remove);
  export_function(env, exports, "shmPin", shm_pin);
  export_function(env, exports, "shmDetach", shm_detach);
  export_function(env, exports, "notOnHeap", not_on_heap);
  export_function(env, exports, "shmRemove", shm_remove);
  export_function(env, exports, "addressOf", address_of);
}
