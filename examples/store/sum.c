/*
 * Reads and writes a store of the file backend from C.
 *
 *   cc -std=gnu11 -I packages/state-store/include -o sum examples/store/sum.c
 *   ./sum FILE            prints the accounts and their sum
 *   ./sum FILE add N      adds N to every account, as one transaction
 *   ./sum FILE die N      dies half-way through it: the next one to open the store finds nothing of it
 *
 * The schema it was written for, as the TypeScript side says it:
 *
 *   const Account = struct('Account', {name: t.string(20), locked: t.bool, cents: t.i64});
 *   const schema = {changes: t.uint, accounts: t.table(Account)};
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <inttypes.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "zlr/store.h"

struct account {
  _Alignas(8) ZLR_STRING(20) name;
  bool locked;
  int64_t cents;
};
struct root {
  uint64_t changes;
  struct zlr_slots accounts;
};

static int change(void *segment, struct root *root, int64_t by, bool die) {
  for (uint32_t slot = 0; slot < root->accounts.used; slot++) {
    struct account *account = zlr_record(segment, &root->accounts, slot);
    if (account == NULL) continue;
    if (!zlr_save(segment, &account->cents, sizeof account->cents)) return 1;
    account->cents += by;
    if (die) kill(getpid(), SIGKILL);
  }
  if (!zlr_save(segment, &root->changes, sizeof root->changes)) return 1;
  root->changes++;
  zlr_commit(segment);
  return 0;
}

int main(int argc, char **argv) {
  int fd = argc > 1 ? open(argv[1], O_RDWR | O_CLOEXEC) : -1;
  struct stat stat;
  if (fd < 0 || fstat(fd, &stat) < 0) {
    fprintf(stderr, "usage: sum FILE [add N | die N]\n");
    return 2;
  }
  /* A descriptor of its own for the right to write: the mapping would keep it. */
  if (argc == 4 && zlr_claim_file(open(argv[1], O_RDWR | O_CLOEXEC)) < 0) {
    fprintf(stderr, "%s is being written by another process\n", argv[1]);
    return 3;
  }
  void *segment = mmap(NULL, (size_t)stat.st_size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
  struct zlr_store_header *header = segment == MAP_FAILED ? NULL : zlr_store(segment, (uint64_t)stat.st_size);
  if (header == NULL || header->root_cells * ZLR_CELL < sizeof(struct root)) {
    fprintf(stderr, "%s is no store of this version and schema\n", argv[1]);
    return 1;
  }
  struct root *root = zlr_root(segment);
  if (argc == 4 && !zlr_recover(segment)) return 1;
  if (argc == 4) return change(segment, root, atoll(argv[3]), strcmp(argv[2], "die") == 0);
  int64_t sum = 0;
  for (uint32_t slot = 0; slot < root->accounts.used; slot++) {
    struct account *account = zlr_record(segment, &root->accounts, slot);
    if (account == NULL) continue;
    printf("%.*s%s %" PRId64 "\n", (int)account->name.length, account->name.bytes, account->locked ? " (locked)" : "", account->cents);
    sum += account->cents;
  }
  printf("sum %" PRId64 " after %" PRIu64 " changes\n", sum, root->changes);
  return 0;
}
