/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/*
 * What crosses between /dev/zlr (kmod/) and its callers. The module, the addon and the tests all include this file.
 *
 *    reregist()    ZLR_REREGIST      the process can be restarted from now on          thesis, figure 3.2
 *    getreginfo()  ZLR_GETREGINFO    what the former generation had declared           thesis, section 3.1
 *    hread()       ZLR_HREAD         data-holding read; the result is the ioctl's      thesis, figure 3.4
 *                  ZLR_BOOKS         how far reading and deleting of one file came     thesis, figure 3.5
 *                  ZLR_STANDBY       wait for the death of a service and take its place
 *                  ZLR_FORGET        end a registration
 *                  ZLR_SEGMENTS      note which System V segments are attached now
 *                  ZLR_VERSION       which ABI the module speaks
 *                  ZLR_TOTALS        how much of everything the module holds
 *
 * Numbers have the same size for 32-bit and 64-bit callers, pointers travel as 64-bit numbers, and no structure has
 * hidden padding. Fields that are 0 today must be 0: the module refuses what it does not know (EINVAL).
 */
#ifndef ZLR_KMOD_H
#define ZLR_KMOD_H

#include <linux/ioctl.h>
#include <linux/types.h>

#define ZLR_ABI 1
#define ZLR_DEVICE "/dev/zlr"

#define ZLR_PATH_MAX 4096       /* bytes of bin_path, its NUL included */
#define ZLR_TEXT_MAX (256 << 10) /* bytes of bin_path, argv and envp together */
#define ZLR_STRINGS_MAX 8192    /* strings of argv and envp together */
#define ZLR_SEGMENTS_MAX 32
#define ZLR_THRESHOLD_DEFAULT 0xffffffffu
#define ZLR_STILLBORN_MAX 20    /* generations in a row that died before they had registered; then no more */
#define ZLR_EX_CONFIG 78        /* an exit status that asks for no further generation */

/*
 *    0    4    8        16       24       32   36   40   44   48       56
 *    +----+----+--------+--------+--------+----+----+----+----+--------+
 *    |abi |id  | path   | argv   | envp   |path|argv|envp|thr | service|
 *    |    |    | address| address| address|_len|_len|_len|_ms | (out)  |
 *    +----+----+--------+--------+--------+----+----+----+----+--------+
 *
 * path is one string, argv and envp are strings one after the other; each ends with a NUL, which its length counts.
 */
struct zlr_reregist {
	__u32 abi;          /* ZLR_ABI */
	__u32 child_id;
	__u64 path;
	__u64 argv;
	__u64 envp;
	__u32 path_len;
	__u32 argv_len;
	__u32 envp_len;
	__u32 threshold_ms; /* a fault sooner after a restart is a software bug; 0: none is; ZLR_THRESHOLD_DEFAULT */
	__u64 service;      /* out: names the service for ZLR_STANDBY; a secret of its owner */
};

/* One attached System V segment. */
struct zlr_segment {
	__u64 address;
	__u64 size;
	__s32 shmid;
	__u32 reserved;
};

/* How long each phase of the restart took, nanoseconds (thesis, table 3.1). */
struct zlr_phases {
	__u64 keep;    /* channels taken from the dying process */
	__u64 thread;  /* until the thread of the next generation ran */
	__u64 restore; /* channels put into its table */
	__u64 exec;    /* all else until its program runs: credentials, cgroup, execve */
};

/*
 *    0    4    8    12   16       24   28   32   36   40   44   48       56       88   92   96
 *    +----+----+----+----+--------+----+----+----+----+----+----+--------+--------+----+----+----------+
 *    |abi |text| text    |service |flag|id  |gene|sig |code|pid |fault_  | phases |chan|seg |segments  |
 *    |    |size| address |        |s   |    |rati|nal |    |    |time    | 4 x 8  |nels|ment|32 x 24   |
 *    |    |    |         |        |    |    |on  |    |    |    |        |        |    |s   |          |
 *    +----+----+----+----+--------+----+----+----+----+----+----+--------+--------+----+----+----------+
 *                                                                       then path_len, argv_len, envp_len, reserved
 */
struct zlr_reginfo {
	__u32 abi;       /* in: ZLR_ABI */
	__u32 text_size; /* in: room at text; if it is too small, nothing is written there */
	__u64 text;      /* in: where path, argv and envp shall stand, one after the other; 0: nowhere */
	__u64 service;
	__u32 flags;     /* ZLR_RESTARTED, ZLR_REGISTERED */
	__u32 child_id;
	__u32 generation;   /* 1 for the first */
	__u32 fault_signal; /* how the former generation died; 0: it exited with fault_code */
	__u32 fault_code;
	__s32 fault_pid;    /* of the former generation, as the initial pid namespace counts */
	__s64 fault_time;   /* when, nanoseconds since 1970 */
	struct zlr_phases phases;
	__u32 channels;     /* open files that were handed over */
	__u32 segments;     /* how many of segment[] count */
	struct zlr_segment segment[ZLR_SEGMENTS_MAX];
	__u32 path_len;
	__u32 argv_len;
	__u32 envp_len;
	__u32 reserved;
};

enum {
	ZLR_RESTARTED = 1,  /* this process is the next generation of one that died */
	ZLR_REGISTERED = 2, /* and has called ZLR_REREGIST itself */
};

/*
 * Reads rlen bytes of fd into buf and deletes dlen bytes of what is held. The ioctl returns how many bytes were read.
 *
 * EINVAL   more would be deleted than was ever read, or fd holds no stream
 * ENODATA  less could be read than would have to be deleted: nothing was read and nothing deleted (thesis, step 5a)
 * ENOBUFS  more would be held than is allowed: delete some
 */
struct zlr_hread {
	__s32 fd;
	__u32 reserved;
	__u64 buf;
	__u64 rlen;
	__u64 dlen;
};

/* Positions are counted in bytes since the first ZLR_HREAD of the open file: destroy_pt <= read_pt <= write_pt. */
struct zlr_books {
	__s32 fd;
	__u32 reserved;
	__u64 read_pt;
	__u64 destroy_pt;
	__u64 write_pt;
};

struct zlr_standby {
	__u32 abi;     /* ZLR_ABI */
	__u32 reserved;
	__u64 service; /* from ZLR_REREGIST */
};

struct zlr_forget {
	__s32 pid; /* 0: the caller */
	__u32 reserved;
};

struct zlr_version {
	__u32 abi;
	__u32 dhr_buffer; /* bytes of one buffer of the hold */
};

/* What the module holds; all zero when nobody uses it. */
struct zlr_totals {
	__u64 services;
	__u64 standbys;
	__u64 holds;      /* open files with held bytes, or that had some */
	__u64 hold_bytes; /* memory of their buffers */
	__u64 restarts;   /* since the module was loaded */
	__u64 given_up;   /* software bugs since the module was loaded */
};

#define ZLR_VERSION _IOR(0xD7, 0, struct zlr_version)
#define ZLR_REREGIST _IOWR(0xD7, 1, struct zlr_reregist)
#define ZLR_GETREGINFO _IOWR(0xD7, 2, struct zlr_reginfo)
#define ZLR_HREAD _IOW(0xD7, 3, struct zlr_hread)
#define ZLR_BOOKS _IOWR(0xD7, 4, struct zlr_books)
#define ZLR_STANDBY _IOW(0xD7, 5, struct zlr_standby)
#define ZLR_FORGET _IOW(0xD7, 6, struct zlr_forget)
#define ZLR_SEGMENTS _IO(0xD7, 7)
#define ZLR_TOTALS _IOR(0xD7, 8, struct zlr_totals)

_Static_assert(sizeof(struct zlr_reregist) == 56, "layout");
_Static_assert(sizeof(struct zlr_segment) == 24, "layout");
_Static_assert(sizeof(struct zlr_phases) == 32, "layout");
_Static_assert(sizeof(struct zlr_reginfo) == 96 + 32 * 24 + 16, "layout");
_Static_assert(sizeof(struct zlr_hread) == 32, "layout");
_Static_assert(sizeof(struct zlr_books) == 32, "layout");
_Static_assert(sizeof(struct zlr_standby) == 16, "layout");
_Static_assert(sizeof(struct zlr_forget) == 8, "layout");
_Static_assert(sizeof(struct zlr_version) == 8, "layout");
_Static_assert(sizeof(struct zlr_totals) == 48, "layout");

#endif
