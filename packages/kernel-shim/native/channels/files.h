/* Opening a file below a directory, and only below it. */
#ifndef ZLR_FILES_H
#define ZLR_FILES_H

#include <stdint.h>

struct zlr_file {
  int fd;
  uint32_t mode;
  uint64_t size, device, inode;
  int64_t mtime_seconds, ctime_seconds;
  uint32_t mtime_ns, ctime_ns;
};

/* Opens path for reading; the kernel refuses whatever leads out of the directory (-EXDEV): "..", absolute symbolic
 * links, mount tricks (man 2 openat2, RESOLVE_BENEATH). The descriptor outlives the process (table.h).
 * 0 or a negative errno. */
int zlr_open_beneath(int directory, const char *path, struct zlr_file *out);

#endif
