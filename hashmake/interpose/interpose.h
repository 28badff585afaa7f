/* interpose.h: what the interposer's own files share; nothing of it is seen outside the library.
 *
 * Rules of this library: no allocation, no stdio, no locks, no abort, errno untouched. Our own work goes through raw
 * system calls (sys.h), because a libc call would set errno and might come back into one of our wrappers. */
#ifndef HM_INTERPOSE_H
#define HM_INTERPOSE_H
/* The build may ask for fortified or 64-bit-only names; both would rename the functions we define. */
#undef _FORTIFY_SOURCE
#undef _FILE_OFFSET_BITS
#undef _TIME_BITS
#define _GNU_SOURCE
#include <errno.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "events.h"

#define HM_API __attribute__((visibility("default")))
#define HM_LIKELY(x) __builtin_expect(!!(x), 1)
#define HM_UNLIKELY(x) __builtin_expect(!!(x), 0)

/* The next definition of a libc function, looked up on first use: most processes call a handful of them. */
void *hm_next(const char *name);
#define NEXT(name)                                                  \
    ({                                                              \
        static __typeof__(&name) next_;                             \
        if (HM_UNLIKELY(!next_)) *(void **)&next_ = hm_next(#name); \
        next_;                                                      \
    })

/* The wrapper itself, for use inside the library: the plain name might lead to a definition in front of ours, which may
 * have called us. Stands in the file that defines the wrapper. */
#define INSIDE(name) extern __typeof__(name) hm_inside_##name __attribute__((copy(name), alias(#name), visibility("hidden")))

/* ---- the process (start.c) ---- */
enum { HM_UNTRIED, HM_STARTING, HM_ON, HM_OFF };
struct hm_process {
    int state;
    bool make;   /* this is GNU make */
    bool shell;  /* files it reads are scripts: HM_SCRIPT */
    bool knows;  /* a shell that sets variables itself to where it is */
    bool no_matter_who; /* cp and its like, and gawk: they ask whose process they are, and make nothing of it */
    bool hold;   /* make's echo may be held back */
    bool reload; /* a dlopen has begun: name the new objects at the next occasion */
    pid_t pid;   /* of the process that our start or fork wrapper saw; another one is a vfork child */
    pid_t born;  /* of the process whose start ran, not changed by fork */
    struct hm_trace *trace;
    struct hm_view *view;
    struct hm_entry *entries;
    uint64_t *dirs; /* the view's directory cache */
    uint64_t window;
    uint32_t step;
    int tty; /* descriptor of /dev/tty if it was ever opened, or -1 */
    const char *library; /* our own path, as ld.so has it */
    char run[256];
    char stepname[24];
    char program[1024]; /* /proc/self/exe */
    char make_name[1024];
};
extern struct hm_process hm;
bool hm_start(void);
static inline bool hm_on(void) {
    int state = __atomic_load_n(&hm.state, __ATOMIC_ACQUIRE);
    return HM_LIKELY(state == HM_ON) || (state == HM_UNTRIED && hm_start());
}
void hm_loaded(void);     /* HM_READ for every object that is mapped now */
void hm_load_later(void); /* ... the next time we are called */
void hm_load_now(void);   /* ... if that is outstanding */
struct dl_phdr_info;
void hm_search_start(void);
void hm_searched(const struct dl_phdr_info *); /* where ld.so looked for what this object needs */
void hm_search_plain(const char *file);        /* ... and will look for what dlopen was asked for */
/* What ld.so (`loader`) reads to tell which libraries a program needs; library_path NULL: only to tell whether it is one. */
void hm_search_listed(const char *program, const char *const *library_path, const char *loader);
pid_t hm_pid(void);   /* the real one, from the kernel */

/* ---- paths (path.c) ---- */
#define HM_PATH 4096
#define HM_ROOM (HM_PATH + 320)
struct hm_path {
    uint64_t hash, dirhash;
    size_t len;
    struct hm_entry *entry; /* the view's, or NULL */
    unsigned state;         /* HM_V_NONE unless the clean view is on */
    bool gone;              /* a link on the way is hidden: there is no such place */
    char *s;                /* a room (below), taken when it is first needed, or NULL */
};
/* Threads may have stacks of 16 kB, and of that the program takes its part: text as long as a path lies in a room,
 * never on the stack. */
char *hm_room(void); /* HM_ROOM bytes, or NULL and the step is lost */
void hm_room_over(char *room);
static inline void hm_text_over(char **text) { if (*text) hm_room_over(*text), *text = NULL; }
/* `path`: a struct hm_path, or one that begins with it. In a vfork child an exec must not leave a room taken: it would be
 * the parent's, too. */
static inline void hm_path_over(void *path) { hm_text_over(&((struct hm_path *)path)->s); }
#define HM_OWN(type, name) __attribute__((cleanup(hm_path_over))) type name = {0}
#define HM_TEXT_ROOM(name) __attribute__((cleanup(hm_text_over))) char *name = hm_room()
static inline bool hm_has_room(struct hm_path *p) { return p->s || (p->s = hm_room()); }
/* False: nothing to record (interposer off, /proc and the like, no path); the call goes ahead untouched. */
bool hm_resolve(struct hm_path *p, int dirfd, const char *path);
bool hm_resolve_fd(struct hm_path *p, int fd); /* the file behind a descriptor */
void hm_settle(struct hm_path *p);             /* hash and view entry for the string in p->s */
/* If the last component is a link: HM_LSTAT for it and p becomes what it points to, and so on. Returns 0 when the end
 * exists, ENOENT when it doesn't, -1 when the end is not to be recorded. */
int hm_follow(struct hm_path *p);
void hm_cwd_changed(void);
void hm_links_changed(void); /* directory cache: a link appeared or went, a directory was moved or removed */

/* ---- trace (trace.c) ---- */
bool hm_map_trace(void);
void hm_lost(void);
void hm_emit(char kind, const struct hm_path *p);
char *hm_begun(const struct hm_path *p); /* HM_BEGUN; what to give to hm_over when the call has been told, or NULL */
void hm_over(char *begun);
void hm_emit_text(char kind, const char *text, size_t len);
void hm_emit_pair(const struct hm_path *from, const struct hm_path *to);
bool hm_fresh(char kind, const struct hm_path *p); /* not sent yet; does not send it */
void hm_absent(int err, const struct hm_path *p);  /* HM_ABSENT if err is one of those */
void hm_unseen(const char *why, const char *program);
void hm_unseen_here(const char *why); /* ... in this very program, once */

/* ---- view (view.c) ---- */
uint64_t hm_hash(const char *s, size_t len);
bool hm_map_view(void);
struct hm_entry *hm_find(uint64_t hash);
enum hm_use { HM_LOOKING, HM_READING, HM_CHANGING, HM_REPLACING, HM_MAKING_DIRECTORY, HM_REMOVING };
/* The errno with which the clean view lets this use fail, or 0. Brings AHEAD files to disk, removes hidden ones that are
 * about to be replaced. */
int hm_gate(struct hm_path *p, enum hm_use use);
bool hm_hides(void); /* the clean view is on */
void hm_live(struct hm_path *p); /* the path was made by this step: visible from now on */
void hm_want(const struct hm_path *p);
void hm_before(const struct hm_path *p); /* it is about to be changed, or replaced */
bool hm_timed(void); /* times are logical in this process */
struct timespec;
void hm_time(const struct hm_path *p, struct timespec *t); /* p may be NULL: a file without entry */

/* ---- supervisor's socket (socket.c) ---- */
void hm_tell(uint8_t type, const char *payload, size_t len); /* and wait for the ACK */

/* ---- opening (files.c) ---- */
struct hm_open {
    struct hm_path path;
    int flags;
    bool on, absent, tty;
    int block; /* the process whose environment it shows as the kernel keeps it, or 0 */
    char *begun;
};
int hm_open_begin(struct hm_open *o, int dirfd, const char *path, int flags); /* errno to fail with, or 0 */
void hm_open_end(struct hm_open *o, int fd, int err);
int hm_do_openat(int dirfd, const char *path, int flags, mode_t mode, int (*next)(int, const char *, int, ...));

/* ---- programs (program.c) ---- */
enum hm_image { HM_IMG_OTHER, HM_IMG_TRACED, HM_IMG_FOREIGN, HM_IMG_UNSEEN };
/* Records the reads that executing this file makes; tells whether the interposer will come up in it. */
enum hm_image hm_examine(struct hm_path *p);
bool hm_is_loader(const char *path);

/* ---- make (make.c, echo.c) ---- */
void hm_make_start(void);
void hm_make_end(void);
const char *hm_make_version(void);                       /* or NULL */
bool hm_peek(const void *from, void *to, size_t n);      /* false: there is no such memory */

/* ---- make's rules (rules.c) ---- */
void hm_rules_start(void);
void hm_rules_end(void); /* tells by which prerequisites' times this make decided */
bool hm_make_child(void);      /* this process was forked by make and is about to become a step */
bool hm_launches(const char *path); /* the launcher can be started in place of this program */
struct hm_launch {
    const char *launcher, *echo;
    char option[3 + 16 + 1]; /* how, the recipe's number, whether this is a later line */
};
size_t hm_launch_words(char *const argv[]);
void hm_launch_fill(struct hm_launch *l, const char **words, const char *path, char *const argv[], char *const env[]);
void hm_echo_end(void); /* tells whether this make printed something of its own */
void hm_echo_start(void);
void hm_echo_failed(void); /* stdout shows an error if a launcher could not write an echo */
/* Whether this text for standard error is about a hidden file without a rule, or comes after such a one: it is not let out. */
bool hm_no_rule(const char *text);
void hm_make_flush(void); /* held-back text goes out for real */
enum hm_echo { HM_ECHO_NONE, HM_ECHO_LINE, HM_ECHO_TEXT };
enum hm_echo hm_echo_take(char *const argv[], int out_fd, const char **text); /* or sends it out, if it is not this command's */

/* ---- streams that the launcher has put in the place of others (terminal.c) ---- */
void hm_behind(int fd, uint64_t id[2]); /* device and inode of what a descriptor is; of what is behind, if it is one of these */
void hm_terminal_asked(int fd);         /* this one is asked for more than printing takes */
void hm_terminal(void);                 /* where it is a terminal: this process has the real one from now on */

/* ---- environment (environ.c) ---- */
extern char **environ;
size_t hm_env_room(char *const env[], bool drop); /* bytes needed for a repaired environment; 0: it is fine as it is */
char **hm_env_fix(char *const env[], bool drop, void *room);
const char *hm_env_get(char *const env[], const char *name);
bool hm_env_preloads(char *const env[]); /* others beside us are preloaded */
const char *hm_env_make(void); /* the make that the build was started with, or NULL */
void hm_env_hide(void);
int hm_env_block(const char *path);     /* /proc/self/environ and the like: the process that it is of, or 0 */
void hm_env_opened(int fd, int owner);  /* ... is open: what it shows is as without us */
void hm_env_ends(void);                 /* this process is about to become another program */

/* ---- what kind of program this is (kind.c) ---- */
bool hm_only_searches(void);            /* PATH is to this program a list of places, and nothing to print */
void hm_name_program(void);             /* make, a shell, one that takes all of environ */
void hm_kind_object(const char *name);  /* an object with this file name is loaded */
void hm_kind_start(int argc, char **argv); /* ... that depends on the arguments */
void hm_kind_unread(void);              /* ... that runs a text nobody else will see */
void hm_kind_exit(void);                /* ... that shows at the end */

/* ---- hidden entries below a directory that goes or moves (hidden.c) ---- */
bool hm_hidden_emptied(const struct hm_path *directory);   /* nothing but hidden entries was there, and they are gone */
void hm_hidden_shown(const struct hm_path *directory);     /* all that is below it was made by this step */
void hm_hidden_separated(const struct hm_path *directory); /* nothing hidden is left below it */

/* ---- listings (dirs.c) ---- */
bool hm_dots(const char *name);                                     /* . and .. */
bool hm_join(struct hm_path *p, size_t len, const char *name);      /* DIR/NAME settled in p, which holds DIR with this length */
bool hm_copy_path(struct hm_path *to, const struct hm_path *from); /* false: no room */
void hm_list(const char *path); /* lists the directory now, for the trace only */
bool hm_entry_seen(const struct hm_path *dir, const char *name); /* true: hidden; else it is recorded */

static inline size_t hm_len(const char *s) {
    const char *e = s;
    while (*e) e++;
    return (size_t)(e - s);
}
static inline bool hm_same(const char *a, const char *b) {
    while (*a && *a == *b) a++, b++;
    return *a == *b;
}
static inline bool hm_starts(const char *s, const char *prefix) {
    while (*prefix && *s == *prefix) s++, prefix++;
    return !*prefix;
}
static inline const char *hm_base(const char *path) {
    const char *base = path;
    for (; *path; path++)
        if (*path == '/') base = path + 1;
    return base;
}
#endif
