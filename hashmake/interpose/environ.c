/* environ.c: the environment: what programs ask of it, and keeping our own variables in it across exec. */
#include "interpose.h"

#include <link.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "sys.h"

const char *hm_env_get(char *const env[], const char *name) {
    size_t n = hm_len(name);
    for (; env && *env; env++)
        if (**env == *name && strncmp(*env, name, n) == 0 && (*env)[n] == '=') return *env + n + 1;
    return NULL;
}

/* ---- our variables across exec ---- */
static const char *ours_in(const char *preload) {
    size_t n = hm_len(hm.library);
    for (const char *s = preload; s && (s = strstr(s, hm.library)); s += n) {
        bool starts = s == preload || s[-1] == ':' || s[-1] == ' ';
        if (starts && (!s[n] || s[n] == ':' || s[n] == ' ')) return s;
    }
    return NULL;
}

bool hm_env_preloads(char *const env[]) {
    const char *preload = hm_env_get(env, "LD_PRELOAD");
    return preload && *preload && !(hm.library && hm_same(preload, hm.library));
}

struct found {
    size_t count;
    const char *run, *step, *make, *preload;
};

static struct found look(char *const env[]) {
    struct found f = {0};
    for (; env && env[f.count]; f.count++) {
        const char *s = env[f.count];
        if (s[0] == 'H' && hm_starts(s, "HASHMAKE_RUN=")) f.run = s;
        if (s[0] == 'H' && hm_starts(s, "HASHMAKE_STEP=")) f.step = s;
        if (s[0] == 'H' && hm_starts(s, "HASHMAKE_MAKE=")) f.make = s;
        if (s[0] == 'L' && hm_starts(s, "LD_PRELOAD=")) f.preload = s;
    }
    return f;
}

static bool right(const char *var, const char *value) {
    return var && hm_same(strchr(var, '=') + 1, value);
}

const char *hm_env_make(void) {
    return hm.make_name[0] ? hm.make_name : NULL;
}

size_t hm_env_room(char *const env[], bool drop) {
    struct found f = look(env);
    const char *ours = f.preload && hm.library ? ours_in(f.preload + 11) : NULL;
    const char *make = hm_env_make();
    bool preload_right = drop ? !ours : !hm.library || ours;
    if (right(f.run, hm.run) && right(f.step, hm.stepname) && preload_right && (f.make || !make)) return 0;
    return (f.count + 5) * sizeof(char *) + sizeof hm.run + sizeof hm.stepname + 128 + (make ? hm_len(make) : 0) +
           (hm.library ? hm_len(hm.library) : 0) + (f.preload ? hm_len(f.preload) : 0);
}

static char *add(char *at, const char *s, size_t n) {
    memcpy(at, s, n);
    at[n] = 0;
    return at + n;
}

char **hm_env_fix(char *const env[], bool drop, void *room) {
    struct found f = look(env);
    char **now = room, *text = (char *)(now + f.count + 5);
    size_t n = 0;
    for (size_t i = 0; i < f.count; i++)
        if (env[i] != f.run && env[i] != f.step && env[i] != f.preload) now[n++] = env[i];
    now[n++] = text;
    text = add(add(text, "HASHMAKE_RUN=", 13), hm.run, hm_len(hm.run)) + 1;
    now[n++] = text;
    text = add(add(text, "HASHMAKE_STEP=", 14), hm.stepname, hm_len(hm.stepname)) + 1;
    const char *make = hm_env_make();
    if (make && !f.make) {
        now[n++] = text;
        text = add(add(text, "HASHMAKE_MAKE=", 14), make, hm_len(make)) + 1;
    }
    const char *old = f.preload ? f.preload + 11 : "";
    const char *ours = hm.library ? ours_in(old) : NULL;
    if (drop ? ours == NULL && f.preload : ours != NULL || (!hm.library && f.preload)) {
        now[n++] = (char *)(uintptr_t)f.preload;
    } else if (drop && ours) { /* ld.so of another architecture would complain about us */
        size_t before = (size_t)(ours - old);
        const char *after = ours + hm_len(hm.library);
        if (before + hm_len(after) > 0) {
            now[n++] = text;
            text = add(add(add(text, "LD_PRELOAD=", 11), old, before), after, hm_len(after)) + 1;
        }
    } else if (!drop && hm.library) {
        now[n++] = text;
        text = add(add(text, "LD_PRELOAD=", 11), old, hm_len(old));
        if (*old) text = add(text, ":", 1);
        add(text, hm.library, hm_len(hm.library));
    }
    now[n] = NULL;
    return now;
}

/* ---- not to be seen ----
 * What a program prints or passes on of its environment must be what it would be without us: our entries go from environ
 * once they are known, and come back when a program is started (above). Their text stays where the kernel put it, so that
 * /proc/PID/environ still tells which build a process belongs to (run/strays.py). */
static void strip_preload(char *var) {
    const char *ours = ours_in(var + 11);
    char *at = (char *)(uintptr_t)ours;
    size_t n = hm_len(hm.library);
    if (at > var + 11)
        at--, n++; /* with the separator before it, or else after it */
    else if (at[n])
        n++;
    memmove(at, at + n, hm_len(at + n) + 1);
}

static int go_program(struct dl_phdr_info *info, size_t size, void *arg) {
    (void)size;
    for (int i = 0; i < info->dlpi_phnum; i++) {
        const ElfW(Phdr) *h = &info->dlpi_phdr[i];
        const char *note = (const char *)(info->dlpi_addr + h->p_vaddr);
        if (h->p_type == PT_NOTE && h->p_memsz > 16 && memcmp(note + 12, "Go\0", 4) == 0) *(bool *)arg = true;
    }
    return 1; /* only the program itself */
}

static bool is_ours(const char *s) {
    return s[0] == 'H' && (hm_starts(s, "HASHMAKE_RUN=") || hm_starts(s, "HASHMAKE_STEP=") || hm_starts(s, "HASHMAKE_MAKE=") ||
                           hm_starts(s, "HASHMAKE_RERUN="));
}

/* False: nothing is left of it. */
static bool without_us(char *s) {
    if (is_ours(s)) return false;
    if (s[0] != 'L' || !hm_starts(s, "LD_PRELOAD=") || !ours_in(s + 11)) return true;
    if (hm_len(s + 11) == hm_len(hm.library)) return false;
    strip_preload(s);
    return true;
}

void hm_env_hide(void) {
    bool go = false;
    if (!hm.library) return;
    NEXT(dl_iterate_phdr)(go_program, &go);
    if (go) return; /* starts programs by its own system calls: they would be lost to us */
    char **to = environ;
    for (char **from = environ; *from; from++)
        if (without_us(*from)) *to++ = *from;
    *to = NULL;
}

int hm_env_block(const char *path) {
    if (!hm_starts(path, "/proc/")) return 0;
    path += 6;
    if (hm_starts(path, "self/")) /* thread-self is how our own programs ask */
        return hm_same(path + 5, "environ") ? (int)hm_sys(SYS_getpid, 0, 0, 0, 0) : 0;
    int owner = 0;
    for (; *path >= '0' && *path <= '9' && owner < 1 << 24; path++) owner = owner * 10 + (*path - '0');
    return hm_same(path, "/environ") ? owner : 0;
}

/* The last block that was shown to this process or to the one that it was forked from, and whose block that is. */
static struct {
    int owner;
    dev_t dev;
    ino_t ino;
} shown_block;

#define BLOCK (4ul << 20)
void hm_env_opened(int fd, int owner) {
    hm_emit_text(HM_ENVIRON, hm.program, hm_len(hm.program));
    if (!hm.library) return;
    long flags = hm_sys(SYS_fcntl, fd, F_GETFD, 0, 0), n, size = 0, kept = 0;
    int shown = (int)hm_sys(SYS_memfd_create, "environ", MFD_CLOEXEC, 0, 0);
    char *block = hm_sys_mmap(BLOCK, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1);
    struct stat st;
    if (shown >= 0 && block) {
        while ((n = hm_sys(SYS_pread64, fd, block + size, BLOCK - 1 - (size_t)size, size)) > 0) size += n;
        for (long at = 0; at < size;) {
            size_t len = hm_len(block + at);
            if (without_us(block + at)) {
                size_t now = hm_len(block + at);
                memmove(block + kept, block + at, now + 1);
                kept += (long)now + 1;
            }
            at += (long)len + 1;
        }
        hm_sys(SYS_pwrite64, shown, block, kept, 0);
        hm_sys(SYS_dup3, shown, fd, flags & FD_CLOEXEC ? O_CLOEXEC : 0, 0);
        if (hm_sys_fstat(shown, &st) == 0) shown_block.owner = owner, shown_block.dev = st.st_dev, shown_block.ino = st.st_ino;
    }
    if (shown >= 0) hm_sys_close(shown);
    if (block) hm_sys_munmap(block, BLOCK);
}

/* The kernel's file shows the memory of the process, and that ends when it becomes another program: a shell's
 * `cat < /proc/self/environ` prints nothing, its `read x < /proc/self/environ` does. */
void hm_env_ends(void) {
    struct stat st;
    if (HM_LIKELY(!shown_block.owner) || shown_block.owner != (int)hm_sys(SYS_getpid, 0, 0, 0, 0)) return;
    for (int fd = 0; fd < 256; fd++)
        if (hm_sys_fstat(fd, &st) == 0 && st.st_ino == shown_block.ino && st.st_dev == shown_block.dev)
            hm_sys(SYS_ftruncate, fd, 0, 0, 0);
}

/* ---- what programs ask ---- */
static void asked(const char *name) {
    if (hm.state != HM_ON || !name || hm_same(name, "LD_PRELOAD") || hm_starts(name, "HASHMAKE_") || hm_starts(name, "MALLOC_")) return;
    if (hm_only_searches() && hm_same(name, "PATH")) return; /* what it looks for there is seen */
    hm_emit_text(HM_GETENV, name, hm_len(name));
}

HM_API char *getenv(const char *name) {
    asked(name);
    return NEXT(getenv)(name);
}

HM_API char *secure_getenv(const char *name) {
    asked(name);
    return NEXT(secure_getenv)(name);
}
