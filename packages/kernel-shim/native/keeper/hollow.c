#define _GNU_SOURCE
#include "hollow.h"

#include <errno.h>
#include <fcntl.h>
#include <link.h>
#include <pthread.h>
#include <stdbool.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

static bool parse_hex(const char **at, const char *end, uintptr_t *value) {
  *value = 0;
  const char *first = *at;
  for (; *at < end; ++*at) {
    const char c = **at;
    if (c >= '0' && c <= '9') *value = *value * 16 + (uintptr_t)(c - '0');
    else if (c >= 'a' && c <= 'f') *value = *value * 16 + (uintptr_t)(c - 'a' + 10);
    else break;
  }
  return *at > first;
}

enum { PAGE = 4096, STACK_BELOW = 8 * PAGE };

static void drop(uintptr_t from, uintptr_t to) {
  if (from < to) madvise((void *)from, to - from, MADV_DONTNEED);
}

/* errno, and libc's own record of the thread with the stack protector's canary, which lie side by side */
static struct zlr_span thread_memory(void) {
  const uintptr_t error = (uintptr_t)&errno, self = (uintptr_t)pthread_self();
  const uintptr_t low = error < self ? error : self, high = error < self ? self : error;
  return (struct zlr_span){low & ~(uintptr_t)(PAGE - 1), (high | (PAGE - 1)) + 1 + PAGE};
}

/* The frame and what it calls. Nobody returns to those above it. */
static struct zlr_span stack_memory(uintptr_t frame) {
  return (struct zlr_span){(frame & ~(uintptr_t)(PAGE - 1)) - STACK_BELOW, (frame | (PAGE - 1)) + 1 + PAGE};
}

static bool is_in(const struct dl_phdr_info *object, const ElfW(Phdr) *part, uintptr_t address) {
  const uintptr_t from = object->dlpi_addr + part->p_vaddr;
  return part->p_type == PT_LOAD && address >= from && address < from + part->p_memsz;
}

static int find_library(struct dl_phdr_info *object, size_t size, void *context) {
  (void)size;
  const uintptr_t inside = (uintptr_t)memcpy;
  struct zlr_span *found = context;
  bool is_it = false;
  for (int i = 0; i < object->dlpi_phnum; i++) is_it = is_it || is_in(object, &object->dlpi_phdr[i], inside);
  if (!is_it) return 0;
  for (int i = 0; i < object->dlpi_phnum; i++) {
    const ElfW(Phdr) *part = &object->dlpi_phdr[i];
    if (part->p_type != PT_LOAD || !(part->p_flags & PF_W)) continue;
    const uintptr_t from = object->dlpi_addr + part->p_vaddr;
    *found = (struct zlr_span){from & ~(uintptr_t)(PAGE - 1), ((from + part->p_memsz - 1) | (PAGE - 1)) + 1};
  }
  return 1;
}

struct zlr_span zlr_library_memory(void) {
  struct zlr_span found = {0, 0};
  dl_iterate_phdr(find_library, &found);
  return found;
}

enum { NEEDS = 3 };

/*
 * Drops one line's mapping if it is private, writable and of no file: heaps, other threads' stacks, V8's pages. One
 * line may be several mappings that happen to touch, so what is needed is kept by its address, not by its line.
 */
static void drop_mapping(const char *line, const char *end, const struct zlr_span needs[NEEDS]) {
  uintptr_t from, to;
  if (!parse_hex(&line, end, &from) || *line++ != '-' || !parse_hex(&line, end, &to)) return;
  if (end - line < 6 || line[2] != 'w' || line[4] != 'p') return;
  line += 6;
  uintptr_t offset, device, inode = 0;
  if (!parse_hex(&line, end, &offset)) return;
  line++;
  if (!parse_hex(&line, end, &device) || *line++ != ':' || !parse_hex(&line, end, &device)) return;
  line++;
  if (!parse_hex(&line, end, &inode) || inode != 0) return;
  for (const struct zlr_span *need = needs; need < needs + NEEDS; need++) {
    if (need->to <= from || need->from >= to) continue;
    drop(from, need->from);
    from = need->to;
  }
  drop(from, to);
}

void zlr_hollow(uintptr_t frame, struct zlr_span library) {
  const int maps = open("/proc/self/maps", O_RDONLY | O_CLOEXEC);
  if (maps < 0) return; /* no harm but the memory */
  struct zlr_span needs[NEEDS] = {thread_memory(), stack_memory(frame), library};
  for (int i = 1; i < NEEDS; i++) /* into ascending order */
    for (int j = i; j > 0 && needs[j].from < needs[j - 1].from; j--) {
      const struct zlr_span later = needs[j - 1];
      needs[j - 1] = needs[j];
      needs[j] = later;
    }
  char buffer[1024]; /* a longer line than this can only be a file's: its start is enough */
  size_t kept = 0;
  bool inside_long_line = false;
  ssize_t n;
  while ((n = read(maps, buffer + kept, sizeof buffer - kept)) > 0) {
    char *const end = buffer + kept + n;
    char *line = buffer;
    for (char *c = buffer; c < end; c++) {
      if (*c != '\n') continue;
      if (!inside_long_line) drop_mapping(line, c, needs);
      inside_long_line = false;
      line = c + 1;
    }
    kept = (size_t)(end - line);
    if (kept == sizeof buffer) {
      if (!inside_long_line) drop_mapping(line, end, needs);
      inside_long_line = true;
      kept = 0;
    }
    memmove(buffer, line, kept);
  }
  close(maps);
}
