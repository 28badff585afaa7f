/* events.h: everything the interposer, the step launcher and the supervisor say to each other.
 *
 * One header, included by both C programs and parsed by tests/interpose/test_events.py, which compares it with
 * every decoder: hashmake/run/trace.py and model/letters.py, run/view.py, run/protocol.py, tests/interpose/harness.py.
 *
 * Bump HM_VERSION whenever the meaning or layout of anything below changes, additions included: a trace or view of
 * another version is refused by name, never interpreted.
 */
#ifndef HM_EVENTS_H
#define HM_EVENTS_H
#include <stdint.h>

#define HM_VERSION 15

/* ---- environment -------------------------------------------------------------------------------------------------
 * HASHMAKE_RUN   absolute path of the run directory of this build; it holds
 *                  view        the shared table of products (below), mapped read-write by every traced process, each of
 *                              which holds a shared flock() on it for as long as it lives
 *                  sock        the supervisor's SOCK_STREAM unix socket
 *                  t/<step>    the trace file of the step with that decimal number
 * HASHMAKE_STEP  decimal number of the step this process belongs to
 * Both, and the interposer's own entry in LD_PRELOAD, are put back when a program execs with an environment that has
 * lost them; other LD_PRELOAD entries are kept. The launcher is the file "hmstep" beside the interposer library. */
#define HM_ENV_RUN "HASHMAKE_RUN"
#define HM_ENV_STEP "HASHMAKE_STEP"
#define HM_LAUNCHER "hmstep"

/* ---- trace file --------------------------------------------------------------------------------------------------
 * Made by the launcher (0600, HM_TRACE_FIRST bytes really allocated with fallocate), mapped MAP_SHARED by all
 * processes of the step. A writer claims space with one atomic add on `tail`, then copies its record. Nothing has to
 * be flushed, so a killed process loses at most the record it was copying: the hole is seen as empty records and makes
 * the step "not fully seen". A writer that finds its claim beyond `limit` grows the file (posix_fallocate first: a full
 * /dev/shm must not become SIGBUS), remaps, and publishes the new limit; if that fails it sets HM_LOST and writes nothing.
 *
 * A record is a kind byte followed by bytes without NUL, followed by NUL. Records of one step are in order of claim.
 * In-process, a record equal to one already sent is dropped, except after 'w', 'u', 'm', 't', 'c' on that path. */
#define HM_TRACE_MAGIC 0x52544d48u /* "HMTR" */
#define HM_TRACE_FIRST 65536u
struct hm_trace {
    uint32_t magic, version;
    uint64_t tail;     /* atomic: offset of the next free byte; starts at sizeof(struct hm_trace) */
    uint64_t limit;    /* atomic: bytes allocated */
    uint32_t flags;    /* atomic: HM_LOST, HM_TIMES, HM_UNWRITTEN, HM_TERMINAL */
    uint32_t expected; /* atomic: program images that an exec or spawn was about to start */
    uint32_t hello;    /* atomic: program images whose interposer came up; != expected: something ran unseen */
    uint32_t pad[1];
    uint64_t shown[4]; /* device and inode of what takes the place of standard output, and of error; zeros: nothing does */
    uint64_t behind[4]; /* ... and of what they are for whoever started the step */
};
#define HM_LOST 1u
#define HM_KEEP 8u  /* in HM_M_RUN only: keep what the step prints; somebody reads it, and a later build repeats it */
#define HM_KEEP_ERR 16u /* ... on standard error */
#define HM_WATCH 32u /* ... on both, though nobody reads it: a restored step repeats it. Terminals stay terminals */
#define HM_TERMINAL 64u /* set by the interposer: a program of this step asked the terminal itself; what is kept is not all */
#define HM_TIMES 2u /* set by the launcher: the times that all processes of this step see are logical, not only make's */
#define HM_UNWRITTEN 4u /* set by the launcher of a step below: an echo that make believes written could not be written */

/* Kinds. Paths are absolute, lexically normal ("." and "//" gone, ".." resolved the way the kernel would), their
 * directory part physical (no symbolic link in it; each link passed on the way is an 'l' record of its own), the last
 * component as the program gave it. /proc, /dev and /sys are not recorded (except: opening /dev/tty for reading is a
 * HM_UNSEEN "terminal"). Only ENOENT, ENOTDIR and ELOOP make an absence; other failures are not recorded. */
#define HM_READ 'r'    /* content was read: opened for reading, executed, interpreter, shared object */
#define HM_ABSENT 'n'  /* looked for, was not there; or made by a call that fails where something is (mkdir, link, O_EXCL) */
#define HM_STAT 's'    /* stat() that follows links: it is there; type, mode and size were seen */
#define HM_LSTAT 'l'   /* lstat() or readlink(): it is there; link target or type, mode and size were seen */
#define HM_ACCESS 'a'  /* access(): it is there; type and mode were seen */
#define HM_LOOK 'k'    /* any of s l a in a make process: existence was seen, and a (logical) time */
#define HM_LIST 'd'    /* listing of this directory began */
#define HM_ENTRY 'e'   /* DIR/NAME: a listing returned this name ("." and ".." never) */
#define HM_LISTED 'f'  /* listing of this directory reached its end */
#define HM_WRITE 'w'   /* created, opened for writing, truncated, made by rename, link, symlink, mkdir */
#define HM_BEGUN '+'   /* a call that may create or replace this is about to be made; becomes HM_OVER when the call is over and
                          told. One that stays: the process died in the call, and what it did is not known */
#define HM_OVER '.'
#define HM_REMOVE 'u'  /* removed: unlink, rmdir, the old name of a rename */
#define HM_MAKE_REMOVED 'U' /* a make process itself is who removed it (an intermediate file); before the HM_REMOVE */
#define HM_MOVEDIR 'm' /* old name of a renamed directory; the next record is HM_MOVEDIR_TO, claimed together */
#define HM_MOVEDIR_TO 'M'
#define HM_TOUCH 't'   /* times set and nothing else */
#define HM_CHMOD 'c'   /* mode, owner or extended attributes set */
#define HM_GETENV 'g'  /* NAME: getenv("NAME") */
#define HM_ENVIRON 'G' /* PROGRAM: takes all of environ in (perl, python, awk, env and printenv that print ...) */
#define HM_SCRIPT 'S'  /* a shell opened this file for reading: its text names the variables the shell used */
#define HM_TEXT 'C'    /* the text that a shell was given with -c: it names the variables the shell used */
#define HM_HOST 'v'    /* "uname" (uname, gethostname), "user" (getuid, geteuid, getlogin, getpwuid ...) was asked;
                          "?user", "?account", "?uname": a shell knows these, for who names the variables that it sets to
                          them: whose process it is, that user's name, home and shell, the machine's name */
#define HM_PLACE 'p'   /* PROGRAM: asked for the full path of where it is (getcwd, realpath of a relative path) */
#define HM_MAKE 'P'    /* PATH of a make executable: a make process came up in this step */
#define HM_GOAL 'D'    /* NAME: what a make process that ends would have made if no goal had been named */
#define HM_DECIDES 'T' /* PATH of a prerequisite by whose time a make process decided: its target was there when that make came up,
                          and has a recipe. When that make ends, "1" if its steps run one by one (.NOTPARALLEL), and
                          ".", or "?": these can't be told of it */
#define HM_SAID 'O'    /* PROGRAM: a make process printed what is neither a command that it starts nor the directory it is in */
#define HM_READER 'B'  /* TABLE, 1, PROGRAM, and 1 and ARGUMENT for each: who read one of the view's tables (below); before
                          the HM_READ. Arguments beyond HM_READER_MAX bytes are left out, with a last 1 to show it */
#define HM_READER_MAX 4000u
#define HM_UNSEEN '!'  /* WHY:PROGRAM the step can't be followed: static, setuid, 32bit, network, socket, terminal,
                          io_uring, chroot, background, noread (executable but not readable), listing (ldd, partly) */

/* ---- view --------------------------------------------------------------------------------------------------------
 * The clean view: an open-addressing table, linear probing, keyed by XXH64(path, seed 0) (0 is stored as 1), paths as
 * in the trace. Entries are only ever added or changed by the supervisor, except for HM_V_LIVE, see below.
 * value = seq << 3 | state. */
#define HM_TABLES 10
#define HM_VIEW_MAGIC 0x57564d48u /* "HMVW" */
struct hm_view {
    uint32_t magic, version;
    uint64_t capacity; /* entries, a power of two */
    uint64_t seq;      /* atomic: the highest sequence number given so far */
    uint64_t dirgen;   /* atomic: generation of the directory cache; bumped by any process that makes a symbolic link or
                          renames or removes a directory or link */
    uint64_t dircap;   /* slots of the directory cache, a power of two; they follow the entries */
    uint64_t flags;    /* HM_VF_* */
    uint64_t began;    /* real time, ns: what was last changed before it was there before the build */
    uint64_t tables[HM_TABLES]; /* hashes of the paths of which it counts who reads them; 0: none */
};
#define HM_VF_HIDE 1u /* the clean view is on: HIDDEN entries do not exist for the processes of this build */
#define HM_VF_TIME 2u /* make processes see logical times */
#define HM_VF_GIVEN_UP 4u /* make evaluates once more after this: what its processes complain about is of no interest */
struct hm_entry {
    uint64_t hash;  /* 0: free */
    uint64_t value; /* atomic */
};
/* Directory cache: after the entries, dircap u64 slots. Slot (h & (dircap-1)) == (h ^ (dirgen * odd constant)) says that the
 * directory whose path hashes to h is physical (no link in it) in this generation. A hint that saves system calls. */
#define HM_V_NONE 0u    /* as if there were no entry */
#define HM_V_HIDDEN 1u  /* a product that no step of this build has made yet: absent for every process */
#define HM_V_PRESENT 2u /* a product as this build has made it, or judged current, at moment seq */
#define HM_V_LIVE 3u    /* a running step is writing it: visible, time = view.seq + 1. Set by the interposer. */
#define HM_V_AHEAD 4u   /* judged current at moment seq, but the disk holds a later version (perhaps none): make sees it
                           (a regular file, whatever the disk says); who opens it for reading or without truncating it
                           first asks the supervisor (HM_M_WANT) to put the right version there */
#define HM_V_SOURCE 5u  /* not hidden; its content was last seen to change at moment seq */
#define HM_V_FOREIGN 6u /* made by a step of another goal at moment seq: older than all that is no product */
/* Logical time of seq: HM_TIME_BASE + seq seconds, 0 ns. A file without an entry keeps the order of its real times below
 * all of these: HM_TIME_UNKNOWN + real time / 8, less than HM_TIME_BASE. Directories too. FOREIGN entries lie below
 * those: seq seconds. What a step with HM_TIMES wrote itself is for it newer than all entries, in the order of its records. */
#define HM_TIME_BASE 1200000000ull
/* In an entry's value: not a sequence number, but (real time in ns at first sight) / 8. Such a path has not changed since,
 * and is compared with those that have no entry by the same clock. */
#define HM_FIRST_SIGHT (1ull << 63)
#define HM_TIME_UNKNOWN 600000000ull

/* ---- known records -------------------------------------------------------------------------------------------------
 * $HASHMAKE_RUN/known: what records of plain steps tell, as numbers of the supervisor's. An open-addressing table, linear
 * probing, keyed by XXH64(record); the supervisor writes the number, then the key; a number of 0 is none (any more). When
 * it takes one back it counts `generation` up. A larger table comes in the place of one that has become too small. */
#define HM_KNOWN_MAGIC 0x4B574D48u
struct hm_known {
    uint32_t magic, version;
    uint64_t capacity; /* a power of two */
    uint64_t generation;
};
struct hm_known_entry {
    uint64_t key, fact;
};
#define HM_SUMMARY_LEAST 8192 /* bytes of a trace that is worth a summary */

/* ---- messages on the socket --------------------------------------------------------------------------------------
 * u32 length of what follows, u8 type, payload. Native byte order, packed. */
#define HM_M_ASK 'Q'  /* launcher: u8 kind (HM_RECIPE|HM_SHELL), u32 parent step, u32 pid, u32 umask, u32 argc, u64 recipe,
                         u8 whether this is a later line of that recipe, then NUL-ended strings: echo, cwd, program path,
                         argc arguments, all environment strings */
#define HM_M_SKIP 'S' /* supervisor: i32 exit code | HM_ALOUD, u32 how many bytes for standard output follow, these, then
                         those for standard error */
#define HM_ALOUD 0x100 /* the echo of the command is printed first, as if the step ran */
#define HM_M_RUN 'G'  /* supervisor: u32 step number, u32 flags: HM_TIMES for its trace file, HM_KEEP, HM_KEEP_ERR,
                         HM_WATCH */
                         /* after HM_M_DONE: once more, as another step */
#define HM_M_DONE 'D' /* launcher: u32 wait status, u64 user+system us, u64 max RSS kB, u8 which streams are kept (below), u32 bytes
                         of standard output, u32 of standard error, u32 facts, u64 generation of the known records, u64 tail
                         of the trace; then these bytes, and where the tail is not 0 a summary of the trace up to there:
                         the facts (u32) of known records about paths that the step has not written, and all other
                         records, each of them that is no write once */
#define HM_KEPT_OUT 1
#define HM_KEPT_ERR 2
#define HM_KEPT_ONE 4 /* both, as they came; they are one file */
#define HM_M_ACK 'A'  /* supervisor: empty */
#define HM_M_MAKE 'M' /* interposer: u64 step, device and inode of standard output and of standard error: a make process starts;
                         answered by ACK once the step's writes are known */
#define HM_M_WANT 'W' /* interposer: u32 step, path: AHEAD file is about to be opened; ACK when the disk holds it */
#define HM_M_BEFORE 'B' /* interposer: u32 step, path: a file without an entry, as it was before the build, is about to be
                         changed or replaced; ACK when it is known what it held */
#define HM_M_NORULE 'N' /* interposer: u32 step, path: make has no rule for this HIDDEN file, which is on the disk; ACK */
#define HM_RECIPE 'R'
#define HM_SHELL 'F'  /* $(shell): standard output is the result and is captured */
/* Launcher's arguments, as the interposer inside make gives them:
 *   hmstep KE PATH ARGV...   K = HM_RECIPE | HM_SHELL, E = '-' no held-back echo, '=' the echo is ARGV[2] plus newline
 *   hmstep KT TEXT PATH ARGV...  the echo is TEXT plus newline. It is printed on stdout if, and only if, the step runs.
 * After KE, where make tells: a number in hexadecimal that all lines of a recipe have in common while it is at work, and
 * '+' for a line that is not its first. */
/* On another machine, where nobody is to be asked (no supervisor, no view):
 *   hmstep --afar DIRECTORY PATH ARGV...   the trace is t/$HASHMAKE_STEP in $HASHMAKE_RUN, cut to its length at the end */
#define HM_AFAR "--afar"
#define HM_TEXT_MAX 65536 /* a longer text counts as HM_ENVIRON */
#define HM_CAPTURE_MAX (4u << 20)
#define HM_WATCH_MAX 65536 /* of each stream; a step that prints more is not restored */
#endif
