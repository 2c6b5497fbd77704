#define _GNU_SOURCE
#include "slots.h"

#include <errno.h>
#include <link.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

/* A slot that holds a function's address and nothing else; the System V ABI's supplements for the two machines. */
#if defined(__x86_64__)
enum { JUMP_SLOT = R_X86_64_JUMP_SLOT, GLOB_DAT = R_X86_64_GLOB_DAT };
#elif defined(__aarch64__)
enum { JUMP_SLOT = R_AARCH64_JUMP_SLOT, GLOB_DAT = R_AARCH64_GLOB_DAT };
#else
#error "x86-64 and arm64 only"
#endif

struct search {
  uintptr_t inside;
  struct zlr_stand_in *calls;
  size_t count;
  int result;
};

static bool contains(const struct dl_phdr_info *object, uintptr_t address) {
  for (int i = 0; i < object->dlpi_phnum; i++) {
    const ElfW(Phdr) *part = &object->dlpi_phdr[i];
    const uintptr_t begin = object->dlpi_addr + part->p_vaddr;
    if (part->p_type == PT_LOAD && address >= begin && address < begin + part->p_memsz) return true;
  }
  return false;
}

/* glibc has added the base to these addresses, musl has not. */
static const void *at(const struct dl_phdr_info *object, uintptr_t address) {
  return (const void *)(address < object->dlpi_addr ? object->dlpi_addr + address : address);
}

static void lead(const struct search *search, const char *name, void **slot) {
  for (size_t i = 0; i < search->count; i++) {
    if (strcmp(name, search->calls[i].name) != 0) continue;
    search->calls[i].before = __atomic_exchange_n(slot, search->calls[i].function, __ATOMIC_ACQ_REL);
    search->calls[i].slots++;
  }
}

static int visit(struct dl_phdr_info *object, size_t size, void *context) {
  (void)size;
  struct search *search = context;
  if (!contains(object, search->inside)) return 0;

  const ElfW(Dyn) *entry = NULL;
  uintptr_t sealed = 0, sealed_end = 0; /* RELRO: read-only since the dynamic linker was done with it */
  for (int i = 0; i < object->dlpi_phnum; i++) {
    const ElfW(Phdr) *part = &object->dlpi_phdr[i];
    if (part->p_type == PT_DYNAMIC) entry = (const void *)(object->dlpi_addr + part->p_vaddr);
    if (part->p_type != PT_GNU_RELRO) continue;
    sealed = object->dlpi_addr + part->p_vaddr;
    sealed_end = sealed + part->p_memsz;
  }
  const char *names = NULL;
  const ElfW(Sym) *symbols = NULL;
  const ElfW(Rela) *tables[2] = {NULL, NULL};
  size_t lengths[2] = {0, 0};
  for (; entry && entry->d_tag != DT_NULL; entry++) {
    if (entry->d_tag == DT_STRTAB) names = at(object, entry->d_un.d_ptr);
    if (entry->d_tag == DT_SYMTAB) symbols = at(object, entry->d_un.d_ptr);
    if (entry->d_tag == DT_JMPREL) tables[0] = at(object, entry->d_un.d_ptr);
    if (entry->d_tag == DT_PLTRELSZ) lengths[0] = entry->d_un.d_val / sizeof(ElfW(Rela));
    if (entry->d_tag == DT_RELA) tables[1] = at(object, entry->d_un.d_ptr);
    if (entry->d_tag == DT_RELASZ) lengths[1] = entry->d_un.d_val / sizeof(ElfW(Rela));
  }
  search->result = 0;
  if (!names || !symbols) return 1;

  const uintptr_t page = (uintptr_t)sysconf(_SC_PAGESIZE);
  sealed &= -page;
  sealed_end &= -page;
  const bool unseal = sealed_end > sealed;
  if (unseal && mprotect((void *)sealed, sealed_end - sealed, PROT_READ | PROT_WRITE)) {
    search->result = -errno;
    return 1;
  }
  for (int table = 0; table < 2; table++) {
    const ElfW(Rela) *relocation = tables[table];
    for (size_t left = relocation ? lengths[table] : 0; left > 0; left--, relocation++) {
      const unsigned type = ELF64_R_TYPE(relocation->r_info);
      if (type != JUMP_SLOT && type != GLOB_DAT) continue;
      lead(search, names + symbols[ELF64_R_SYM(relocation->r_info)].st_name,
           (void **)(object->dlpi_addr + relocation->r_offset));
    }
  }
  if (unseal && mprotect((void *)sealed, sealed_end - sealed, PROT_READ)) search->result = -errno;
  return 1;
}

int zlr_stand_in(const void *inside, struct zlr_stand_in *calls, size_t count) {
  struct search search = {.inside = (uintptr_t)inside, .calls = calls, .count = count, .result = -ENOENT};
  for (size_t i = 0; i < count; i++) calls[i].slots = 0;
  dl_iterate_phdr(visit, &search);
  return search.result;
}
