/* kind.c: what kind of program this is: make, a shell, one that takes the whole environment in. */
#include "interpose.h"

#include <fcntl.h>
#include <link.h>
#include <string.h>

#include "sys.h"

static bool whole_environment; /* told already, or never to be told */
static bool is_env, is_printenv, is_awk, only_searches;

static bool one_of(const char *list, const char *name, size_t n) {
    for (const char *s = list; n && (s = strstr(s, name)); s++)
        if (s[-1] == ' ' && s[n] == ' ') return true;
    return false;
}

/* The name without a cross compiler's prefix and a version: x86_64-linux-gnu-gcc-12 is gcc. */
static size_t plain_name(const char *base, char *out, size_t size) {
    size_t n = hm_len(base), from = 0;
    if (n >= size) n = size - 1;
    size_t end = n;
    while (end && ((base[end - 1] >= '0' && base[end - 1] <= '9') || base[end - 1] == '.')) end--;
    if (end && end < n && base[end - 1] == '-') n = end - 1;
    for (size_t i = 0; i < n; i++)
        if (base[i] == '-' && i + 1 < n) from = i + 1;
    memcpy(out, base + from, n - from);
    out[n - from] = 0;
    return n - from;
}

static const char passes_on[] =
    " make gmake gnumake gcc g++ cc c++ cpp clang clang++ cc1 cc1plus cc1obj lto1 lto-wrapper collect2 ld ld.bfd ld.gold "
    "ld.lld lld as ar nm objcopy objdump strip ranlib readelf xargs find sed grep egrep fgrep sort timeout nice nohup "
    "git bison flex m4 fixdep conf modpost kallsyms objtool sh dash bash ksh ksh93 mksh zsh ash env printenv cat cp mv rm ln mkdir touch "
    "install tee cmp diff ";

static const char compilers[] = " gcc g++ cc c++ cpp clang clang++ cc1 cc1plus cc1obj lto1 collect2 lto-wrapper as ld ld.bfd ld.gold "
                                "ld.lld lld ar nm ranlib strip objcopy objdump readelf git flex bison m4 ";

bool hm_only_searches(void) {
    return only_searches;
}

/* Interpreters, whatever version their name carries. */
static bool takes_whole(const char *base) {
    static const char *const names[] = {"python", "perl", "php", "ruby", "tclsh", "lua", "guile"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (hm_starts(base, names[i])) return true;
    return false;
}

/* The program goes by a text that nobody will have read: any variable may be in it. */
void hm_kind_unread(void) {
    static bool told;
    if (!told) hm_emit_text(HM_ENVIRON, hm.program, hm_len(hm.program));
    told = true;
}

static void whole(void) {
    if (whole_environment) return;
    whole_environment = true;
    hm_emit_text(HM_ENVIRON, hm.program, hm_len(hm.program));
}

/* Does the program's own symbol table mention environ? Imports stand before the hashed symbols; a copy of the variable
 * in a program at a fixed address is among those. */
static bool mentions_environ(const struct dl_phdr_info *info) {
    const ElfW(Sym) *symbols = NULL;
    const char *names = NULL;
    const uint32_t *hash = NULL;
    for (int i = 0; i < info->dlpi_phnum; i++) {
        if (info->dlpi_phdr[i].p_type != PT_DYNAMIC) continue;
        for (const ElfW(Dyn) *d = (const void *)(info->dlpi_addr + info->dlpi_phdr[i].p_vaddr); d->d_tag != DT_NULL; d++) {
            ElfW(Addr) at = d->d_un.d_ptr; /* ld.so has added the load address where the section is writable */
            if (at < info->dlpi_addr) at += info->dlpi_addr;
            if (d->d_tag == DT_SYMTAB) symbols = (const void *)at;
            if (d->d_tag == DT_STRTAB) names = (const void *)at;
            if (d->d_tag == DT_GNU_HASH) hash = (const void *)at;
        }
    }
    if (!symbols || !names || !hash) return true; /* cannot tell */
    uint32_t count = hash[1], buckets = hash[0];
    const uint32_t *bucket = (const uint32_t *)((const ElfW(Addr) *)(hash + 4) + hash[2]), *chain = bucket + buckets;
    for (uint32_t i = 0; i < buckets; i++)
        if (bucket[i] > count) count = bucket[i];
    if (count > hash[1] || (buckets && count == hash[1] && bucket[0] == count)) {
        while (!(chain[count - hash[1]] & 1)) count++;
        count++;
    }
    for (uint32_t i = 1; i < count; i++) {
        const char *s = names + symbols[i].st_name;
        while (*s == '_') s++;
        if (*s == 'e' && hm_same(s, "environ")) return true;
    }
    return false;
}

static int first_object(struct dl_phdr_info *info, size_t size, void *arg) {
    (void)size;
    (void)arg;
    if (mentions_environ(info)) whole();
    return 1;
}

/* Whether the directory that holds this file is one for temporary files: such a name never comes again. */
static bool lies_in_temporary(const char *path) {
    const char *const places[] = {"/tmp", "/var/tmp", "/dev/shm", hm_env_get(environ, "TMPDIR")};
    size_t n = (size_t)(hm_base(path) - path);
    while (n && path[n - 1] == '/') n--;
    for (size_t i = 0; n && i < sizeof places / sizeof *places; i++) {
        size_t len = places[i] ? hm_len(places[i]) : 0;
        while (len && places[i][len - 1] == '/') len--;
        if (len == n && memcmp(path, places[i], n) == 0) return true;
    }
    return false;
}

/* A make whose makefile a program of the step has just written for it, as gcc does to link in parallel (lto-wrapper): none of
 * what it starts can be known again, so it is a program like others, and all that it does belongs to the step. */
static bool passing_make(void) {
    HM_TEXT_ROOM(words);
    int fd = words ? hm_sys_open("/proc/self/cmdline", O_RDONLY) : -1;
    long n = fd < 0 ? 0 : hm_sys(SYS_read, fd, words, HM_PATH, 0);
    if (fd >= 0) hm_sys_close(fd);
    if (n <= 0 || n >= HM_PATH) return false;
    words[n] = 0;
    const char *file = NULL;
    for (const char *word = words; word < words + n; word += hm_len(word) + 1) {
        const char *next = word + hm_len(word) + 1;
        if (hm_same(word, "-f") && next < words + n) file = next;
    }
    if (!file || !lies_in_temporary(file)) return false;
    fd = hm_sys_open(file, O_RDONLY | O_NOCTTY | O_NONBLOCK);
    if (fd < 0) return false;
    bool plain = true; /* names no variable */
    for (long got; plain && (got = hm_sys(SYS_read, fd, words, HM_PATH, 0)) > 0;) plain = !memchr(words, '$', (size_t)got);
    hm_sys_close(fd);
    if (!plain) hm_kind_unread();
    return true;
}

void hm_name_program(void) {
    const char *base = hm_base(hm.program);
    char name[64];
    size_t n = plain_name(base, name, sizeof name);
    const char *make = hm_env_make();
    hm.make = one_of(" make gmake gnumake ", base, hm_len(base)) || (make && hm_same(make, hm.program));
    bool passing = hm.make && hm.step > 1 && passing_make();
    if (passing) hm.make = false;
    hm.shell = one_of(" sh dash bash ksh ksh93 mksh zsh ash ", name, n);
    hm.knows = one_of(" bash ksh ksh93 mksh zsh ", name, n);
    hm.no_matter_who = one_of(" cp mv install ginstall ", name, n);
    is_env = hm_same(name, "env");
    is_printenv = hm_same(name, "printenv");
    is_awk = one_of(" awk gawk mawk nawk ", name, n);
    only_searches = one_of(compilers, name, n);
    if (is_awk) return; /* its arguments tell more */
    if (hm.make || passing || one_of(passes_on, name, n))
        whole_environment = true;
    else if (takes_whole(base) || one_of(" node nodejs java cmake ninja ", name, n))
        whole();
    else
        NEXT(dl_iterate_phdr)(first_object, NULL);
}

void hm_kind_object(const char *name) {
    if (name[0] == 'l' && !whole_environment && (hm_starts(name, "libpython") || hm_starts(name, "libperl"))) whole();
}

static bool letter(char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' || c == '.' || c == '-';
}

/* What an awk program asks for by names that only gawk knows: the environment, who runs it (PROCINFO), or, by a table that
 * has all names or by a file that is included, perhaps both. */
struct awk {
    bool environ, who;
};

static void awk_text(struct awk *asks, const char *program) {
    bool any = strstr(program, "SYMTAB") != NULL;
    for (const char *at = program; !any && (at = strchr(at, '@')); at++)
        any = at == program || !letter(at[-1]); /* not somebody's address */
    asks->environ |= any || strstr(program, "ENVIRON") != NULL;
    asks->who |= any || strstr(program, "PROCINFO") != NULL;
}

/* Of a program in a file; one that is long, or has an end that can't be seen, may ask for anything. */
static void awk_file(struct awk *asks, const char *path) {
    HM_TEXT_ROOM(text);
    int fd = text ? hm_sys_open(path, O_RDONLY | O_NOCTTY | O_NONBLOCK) : -1;
    size_t kept = 0; /* the end of the last piece: a word may lie across */
    bool readable = fd >= 0;
    for (long n; readable && (n = hm_sys(SYS_read, fd, text + kept, HM_PATH - kept, 0)) != 0;) {
        size_t end = kept + (n > 0 ? (size_t)n : 0);
        readable = n > 0 && !memchr(text, 0, end);
        text[end] = 0;
        awk_text(asks, text);
        kept = end < 8 ? end : 8;
        memmove(text, text + end - kept, kept);
    }
    if (fd >= 0) hm_sys_close(fd);
    if (!readable) *asks = (struct awk){true, true};
}

/* An awk program sees variables of the environment in ENVIRON only, or in gawk's SYMTAB, which has that by any name.
 * gawk can include and load more (@), and other options than -F, -f and -v bring in files or print tables. */
static struct awk awk_asks(int argc, char **argv) {
    const struct awk anything = {true, true};
    struct awk asks = {false, false};
    int i = 1;
    bool file = false;
    for (; i < argc && argv[i][0] == '-' && argv[i][1]; i++) {
        const char *option = argv[i];
        if (hm_same(option, "--")) {
            i++;
            break;
        }
        if (option[1] != 'F' && option[1] != 'v' && option[1] != 'f') return anything;
        const char *word = option[2] ? option + 2 : argv[i + 1];
        if (option[1] == 'f') {
            if (!word) return anything;
            awk_file(&asks, word);
            file = true;
        }
        i += !option[2];
    }
    if (!file && i >= argc) return anything;
    if (!file) awk_text(&asks, argv[i]);
    return asks;
}

/* A makefile that is no file, or text of one among the arguments: which variables it names is not seen. */
static bool reads_elsewhere(int argc, char **argv) {
    for (int i = 1; i < argc; i++) {
        const char *word = argv[i];
        if (strchr(word, '$') || hm_starts(word, "--ev") || (word[0] == '-' && word[1] != '-' && strchr(word, 'E'))) return true;
        const char *file = NULL;
        if (hm_starts(word, "-f") || hm_same(word, "--file") || hm_same(word, "--makefile"))
            file = word[1] == 'f' && word[2] ? word + 2 : i + 1 < argc ? argv[i + 1] : NULL;
        else if (hm_starts(word, "--file=") || hm_starts(word, "--makefile="))
            file = strchr(word, '=') + 1;
        if (file && (hm_same(file, "-") || hm_starts(file, "/dev/") || hm_starts(file, "/proc/"))) return true;
    }
    return false;
}

void hm_kind_start(int argc, char **argv) {
    if (hm.make && reads_elsewhere(argc, argv)) hm_kind_unread();
    if (is_printenv) /* it goes through environ for single names */
        for (int i = 1; i < argc; i++)
            if (argv[i][0] != '-') {
                is_printenv = false;
                hm_emit_text(HM_GETENV, argv[i], hm_len(argv[i]));
            }
    if (!is_awk) return;
    struct awk asks = awk_asks(argc, argv);
    if (asks.environ) whole();
    hm.no_matter_who = !asks.who;
}

/* env prints all that it was not told to pass on: only who comes to the end without an exec has printed. */
void hm_kind_exit(void) {
    if (is_env || is_printenv) hm_emit_text(HM_ENVIRON, hm.program, hm_len(hm.program));
}
