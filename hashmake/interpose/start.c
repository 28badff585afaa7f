/* start.c: what happens once per program image: mapping the trace and the view, and naming what was loaded. */
#include "interpose.h"

#include <dlfcn.h>
#include <link.h>
#include <string.h>

#include "sys.h"

struct hm_process hm;

void *hm_next(const char *name) {
    return dlsym(RTLD_NEXT, name);
}

pid_t hm_pid(void) {
    return (pid_t)hm_sys(SYS_getpid, 0, 0, 0, 0);
}

static void read_path(const char *path) {
    HM_OWN(struct hm_path, p);
    if (hm_resolve(&p, AT_FDCWD, path)) hm_emit(HM_READ, &p);
}

static int note_object(struct dl_phdr_info *info, size_t size, void *arg) {
    (void)size;
    (void)arg;
    const char *name = info->dlpi_name;
    hm_searched(info);
    if (!name || !*name || !strchr(name, '/')) return 0; /* the program itself, and the vdso */
    if (!hm.library) {
        uintptr_t here = (uintptr_t)&hm - info->dlpi_addr;
        for (int i = 0; i < info->dlpi_phnum; i++) {
            const ElfW(Phdr) *h = &info->dlpi_phdr[i];
            if (h->p_type == PT_LOAD && here - h->p_vaddr < h->p_memsz) {
                hm.library = name;
                return 0;
            }
        }
    }
    if (name != hm.library) {
        hm_kind_object(hm_base(name));
        read_path(name);
    }
    return 0;
}

void hm_loaded(void) {
    NEXT(dl_iterate_phdr)(note_object, NULL);
}

/* dlopen is left by a jump, so that libc sees the true caller; what it loaded is found out at the next occasion. */
void hm_load_later(void) {
    if (hm_on()) __atomic_store_n(&hm.reload, true, __ATOMIC_RELEASE);
}

void hm_load_now(void) {
    if (hm_pid() != hm.pid) return; /* a vfork child must not wait for ld.so's lock */
    if (__atomic_exchange_n(&hm.reload, false, __ATOMIC_ACQ_REL)) hm_loaded();
}

static bool read_environment(void) {
    if (!environ) return false;
    const char *run = hm_env_get(environ, HM_ENV_RUN), *step = hm_env_get(environ, HM_ENV_STEP);
    if (!run || run[0] != '/' || !step) return false;
    size_t n = hm_len(run), m = hm_len(step);
    if (n >= sizeof hm.run || !m || m >= sizeof hm.stepname) return false;
    for (size_t i = 0; i < m; i++) {
        if (step[i] < '0' || step[i] > '9') return false;
        hm.step = hm.step * 10 + (uint32_t)(step[i] - '0');
    }
    memcpy(hm.run, run, n + 1);
    memcpy(hm.stepname, step, m + 1);
    const char *make = hm_env_get(environ, "HASHMAKE_MAKE");
    size_t k = make ? hm_len(make) : 0;
    if (k < sizeof hm.make_name) memcpy(hm.make_name, make ? make : "", k + 1);
    return true;
}

bool hm_start(void) {
    if (!environ) return false; /* so early that libc itself is not up; a later call tries again */
    int untried = HM_UNTRIED;
    if (!__atomic_compare_exchange_n(&hm.state, &untried, HM_STARTING, false, __ATOMIC_ACQ_REL, __ATOMIC_ACQUIRE))
        return untried == HM_ON;
    if (!read_environment() || !hm_map_trace()) {
        __atomic_store_n(&hm.state, HM_OFF, __ATOMIC_RELEASE);
        return false;
    }
    hm_map_view();
    hm.tty = -1;
    hm.pid = hm.born = hm_pid();
    __atomic_fetch_add(&hm.trace->hello, 1, __ATOMIC_ACQ_REL);
    long n = hm_sys_readlink("/proc/self/exe", hm.program, sizeof hm.program - 1);
    if (n < 0) n = 0;
    hm.program[n] = 0;
    __atomic_store_n(&hm.state, HM_ON, __ATOMIC_RELEASE);
    if (n)
        read_path(hm.program);
    else
        hm_lost(); /* no /proc: descriptors cannot be named either */
    hm_name_program();
    hm_search_start();
    hm_loaded();
    hm_env_hide();
    if (hm.make) hm_make_start();
    return true;
}

struct shell {
    const char *text;   /* after -c */
    const char *script; /* the file to run */
    bool home;          /* a login or interactive shell: it reads what lies in the home directory */
};

/* With neither a text nor a script the shell reads its commands from standard input. */
static struct shell shell_words(int argc, char **argv) {
    struct shell s = {.home = argc && argv[0][0] == '-'};
    bool asked = false, input = false;
    for (int i = 1; i < argc; i++) {
        const char *a = argv[i];
        bool last = hm_same(a, "-") || hm_same(a, "--");
        if (last) i++;
        if (last || (a[0] != '-' && a[0] != '+')) {
            const char *word = i < argc ? argv[i] : NULL;
            if (asked) s.text = word;
            if (!asked && !input) s.script = word;
            break;
        }
        if (a[1] == '-') {
            s.home |= hm_starts(a, "--login");
            i += hm_same(a, "--rcfile") || hm_same(a, "--init-file");
            continue;
        }
        bool takes_word = false;
        for (const char *c = a + 1; *c; c++) {
            asked |= *c == 'c' && *a == '-';
            input |= *c == 's';
            s.home |= *c == 'l' || *c == 'i';
            takes_word |= *c == 'o' || *c == 'O';
        }
        i += takes_word;
    }
    return s;
}

__attribute__((constructor)) static void start(int argc, char **argv) {
    if (!hm_on()) return;
    hm_kind_start(argc, argv);
    if (!hm.shell) return;
    struct shell s = shell_words(argc, argv);
    size_t n = s.text ? hm_len(s.text) : 0;
    if (s.home || hm_starts(hm_base(hm.program), "zsh")) hm_emit_text(HM_GETENV, "HOME", 4);
    if (s.text ? n > HM_TEXT_MAX : !s.script)
        hm_kind_unread(); /* text that is on no command line and in no file */
    else if (s.text)
        hm_emit_text(HM_TEXT, s.text, n);
}

__attribute__((destructor)) static void end(void) {
    if (hm.state != HM_ON) return;
    if (hm.make) hm_make_end();
    if (hm.reload) hm_load_now();
    hm_kind_exit();
}

/* fork: the child's directory is its own from here on (path.c). vfork needs no wrapper, and could not have one. */
#define FORK(name)                             \
    HM_API pid_t name(void) {                  \
        if (HM_UNLIKELY(hm.hold)) hm_make_flush(); \
        pid_t pid = NEXT(name)();              \
        if (pid == 0 && hm.trace) hm.pid = hm_pid(); \
        return pid;                            \
    }
pid_t _Fork(void);
pid_t fork(void);
pid_t __fork(void);
FORK(fork)
FORK(__fork)
FORK(_Fork)
