/* search.c: where ld.so looked for libraries in vain. Its own system calls can't be seen, but where it looks is known:
 * the directories that the object which needs a library names (DT_RPATH, DT_RUNPATH), then those of LD_LIBRARY_PATH.
 * All of them are told, also those after the one where it was found: a library too many in a trace does no harm.
 * The cache and the machine's own directories come last and are told for dlopen only (docs/trace-format.md). */
#include "interpose.h"

#include <elf.h>
#include <link.h>
#include <string.h>
#include <sys/mman.h>

#include "sys.h"

static const char *library_path; /* as it was when the program started: ld.so looks at it only then */
static const char *program_rpath;

struct needs {
    ElfW(Addr) base;
    const ElfW(Dyn) *dynamic;
    const char *strings, *rpath, *runpath;
};

static bool read_dynamic(struct needs *n, const struct dl_phdr_info *info) {
    memset(n, 0, sizeof *n);
    for (int i = 0; i < info->dlpi_phnum; i++)
        if (info->dlpi_phdr[i].p_type == PT_DYNAMIC) n->dynamic = (const void *)(info->dlpi_addr + info->dlpi_phdr[i].p_vaddr);
    if (!n->dynamic) return false;
    for (const ElfW(Dyn) *d = n->dynamic; d->d_tag != DT_NULL; d++)
        if (d->d_tag == DT_STRTAB) {
            ElfW(Addr) at = d->d_un.d_ptr; /* ld.so has added the load address where the section is writable */
            n->strings = (const void *)(at < info->dlpi_addr ? at + info->dlpi_addr : at);
        }
    if (!n->strings) return false;
    for (const ElfW(Dyn) *d = n->dynamic; d->d_tag != DT_NULL; d++) {
        if (d->d_tag == DT_RPATH) n->rpath = n->strings + d->d_un.d_val;
        if (d->d_tag == DT_RUNPATH) n->runpath = n->strings + d->d_un.d_val;
    }
    if (n->runpath) n->rpath = NULL;
    return true;
}

/* The place of one directory of a list, $ORIGIN filled in. False: too long, or a word whose value only ld.so knows. */
static bool expand(char *out, size_t size, const char *dir, size_t len, const char *origin) {
    size_t n = 0;
    for (size_t i = 0; i < len;) {
        size_t word = 0;
        if (dir[i] == '$') {
            word = len - i >= 7 && !memcmp(dir + i, "$ORIGIN", 7) ? 7 : len - i >= 9 && !memcmp(dir + i, "${ORIGIN}", 9) ? 9 : 0;
            if (!word) return false;
            size_t m = (size_t)(hm_base(origin) - origin);
            if (n + m + 1 > size) return false;
            memcpy(out + n, origin, m);
            n += m;
            if (!m) out[n++] = '.';
            i += word;
        } else {
            if (n + 2 > size) return false;
            out[n++] = dir[i++];
        }
    }
    if (!n) out[n++] = '.'; /* an empty one is the working directory */
    out[n] = 0;
    return true;
}

static bool tell(const char *path, bool library) {
    HM_OWN(struct hm_path, p);
    struct stat st;
    if (!hm_resolve(&p, AT_FDCWD, path)) return false;
    if (!hm_fresh(HM_ABSENT, &p)) return false;
    int r = hm_sys_stat(p.s, &st, 0);
    if (r < 0)
        hm_absent(-r, &p);
    else
        hm_emit(library ? HM_READ : HM_STAT, &p);
    return r == 0;
}

static bool join(char *path, size_t size, size_t *len, const char *name) {
    size_t n = hm_len(name);
    if (*len + n + 2 > size) return false;
    path[*len] = '/';
    memcpy(path + *len + 1, name, n + 1);
    *len += n + 1;
    return true;
}

static void each_needed(char *path, size_t size, size_t len, const struct needs *n, const char *file) {
    size_t end = len;
    if (file && join(path, size, &end, file)) tell(path, true);
    for (const ElfW(Dyn) *d = n->dynamic; !file && d->d_tag != DT_NULL; d++) {
        end = len;
        const char *name = n->strings + d->d_un.d_val;
        if (d->d_tag == DT_NEEDED && !strchr(name, '/') && join(path, size, &end, name)) tell(path, true);
    }
    path[len] = 0;
}

/* Each directory may have variants for certain processors below it; most have none. */
static void in_directory(char *path, size_t size, const struct needs *n, const char *file, int depth) {
    static const char *const variants[] = {"glibc-hwcaps", "x86-64-v4", "x86-64-v3", "x86-64-v2", "tls",
                                           "haswell",      "xeon_phi",  "avx512_1",  "x86_64"};
    size_t len = hm_len(path);
    if (!tell(path, false)) {
        HM_OWN(struct hm_path, p); /* not there, or told before for another library */
        struct stat st;
        if (!hm_resolve(&p, AT_FDCWD, path) || hm_sys_stat(p.s, &st, 0) < 0) return;
    }
    each_needed(path, size, len, n, file);
    for (size_t i = 0; depth < 3 && i < sizeof variants / sizeof *variants; i++) {
        size_t end = len;
        if (join(path, size, &end, variants[i])) in_directory(path, size, n, file, depth + 1);
        path[len] = 0;
    }
}

static void along(const char *list, const char *separators, const char *origin, const struct needs *n, const char *file) {
    if (!list) return;
    HM_TEXT_ROOM(path);
    if (!path) return;
    while (list) {
        size_t len = strcspn(list, separators);
        if (expand(path, HM_PATH, list, len, origin))
            in_directory(path, HM_PATH, n, file, 0);
        else
            hm_lost();
        list = list[len] ? list + len + 1 : NULL;
    }
}

static void search(const struct dl_phdr_info *info, const char *file) {
    struct needs n;
    if (!read_dynamic(&n, info)) return;
    const char *origin = info->dlpi_name && *info->dlpi_name ? info->dlpi_name : hm.program;
    if (origin == hm.program) program_rpath = n.rpath;
    along(n.rpath, ":", origin, &n, file);
    if (!n.runpath && n.rpath != program_rpath) along(program_rpath, ":", hm.program, &n, file);
    along(n.runpath, ":", origin, &n, file);
    if (!file) along(library_path, ":;", origin, &n, file);
}

void hm_search_start(void) {
    library_path = hm_env_get(environ, "LD_LIBRARY_PATH");
    if (library_path && !*library_path) library_path = NULL;
}

void hm_searched(const struct dl_phdr_info *info) {
    search(info, NULL);
}

static int by_caller(struct dl_phdr_info *info, size_t size, void *file) {
    (void)size;
    search(info, file);
    return 0;
}

/* dlopen of a plain name. Whose search path counts depends on the caller: all are told. */
void hm_search_plain(const char *file) {
    static const char *const machine[] = {"/lib/x86_64-linux-gnu", "/usr/lib/x86_64-linux-gnu", "/lib", "/usr/lib", "/lib64", "/usr/lib64"};
    HM_TEXT_ROOM(path);
    if (!path) return;
    struct needs none = {0};
    NEXT(dl_iterate_phdr)(by_caller, (void *)(uintptr_t)file);
    along(library_path, ":;", hm.program, &none, file);
    for (size_t i = 0; i < sizeof machine / sizeof *machine; i++) {
        size_t len = hm_len(machine[i]);
        memcpy(path, machine[i], len);
        if (join(path, HM_PATH, &len, file)) tell(path, true);
    }
}

/* ---- the libraries of a program that is not started ---- */
struct image {
    const unsigned char *bytes; /* the whole file */
    size_t size;
    const ElfW(Phdr) *parts;
    size_t count;
};

static const void *at_address(const struct image *i, ElfW(Addr) address, size_t *room) {
    for (size_t k = 0; k < i->count; k++) {
        const ElfW(Phdr) *part = &i->parts[k];
        if (part->p_type != PT_LOAD || address < part->p_vaddr || address - part->p_vaddr >= part->p_filesz) continue;
        size_t at = part->p_offset + (address - part->p_vaddr);
        if (at >= i->size) return NULL;
        *room = i->size - at;
        return i->bytes + at;
    }
    return NULL;
}

/* Its dynamic section, checked: ends within the file, as do all strings. */
static bool dynamic_of_image(struct needs *n, const struct image *i) {
    size_t room = 0, text = 0;
    memset(n, 0, sizeof *n);
    for (size_t k = 0; k < i->count; k++)
        if (i->parts[k].p_type == PT_DYNAMIC) n->dynamic = at_address(i, i->parts[k].p_vaddr, &room);
    size_t entries = room / sizeof *n->dynamic, count = 0;
    if (!n->dynamic || (uintptr_t)n->dynamic % sizeof(ElfW(Addr))) return false;
    while (count < entries && n->dynamic[count].d_tag != DT_NULL) {
        if (n->dynamic[count].d_tag == DT_STRTAB) n->strings = at_address(i, n->dynamic[count].d_un.d_ptr, &text);
        count++;
    }
    if (count == entries || !n->strings) return false;
    for (const ElfW(Dyn) *d = n->dynamic; d->d_tag != DT_NULL; d++) {
        if (d->d_tag != DT_NEEDED && d->d_tag != DT_RPATH && d->d_tag != DT_RUNPATH) continue;
        if (d->d_un.d_val >= text || !memchr(n->strings + d->d_un.d_val, 0, text - d->d_un.d_val)) return false;
        if (d->d_tag == DT_RPATH) n->rpath = n->strings + d->d_un.d_val;
        if (d->d_tag == DT_RUNPATH) n->runpath = n->strings + d->d_un.d_val;
    }
    if (n->runpath) n->rpath = NULL;
    return true;
}

static bool parts_of_image(struct image *i) {
    const ElfW(Ehdr) *elf = (const void *)i->bytes;
    if (i->size < sizeof *elf || elf->e_phentsize != sizeof *i->parts || elf->e_phoff % sizeof(ElfW(Addr))) return false;
    if (elf->e_phoff > i->size || elf->e_phnum > (i->size - elf->e_phoff) / sizeof *i->parts) return false;
    i->parts = (const void *)(i->bytes + elf->e_phoff);
    i->count = elf->e_phnum;
    return true;
}

static const unsigned char *whole(const char *path, size_t *size) {
    struct stat st;
    int fd = hm_sys_open(path, O_RDONLY | O_NOCTTY | O_NONBLOCK);
    if (fd < 0) return NULL;
    bool plain = hm_sys_fstat(fd, &st) == 0 && S_ISREG(st.st_mode) && st.st_size > 0;
    *size = plain ? (size_t)st.st_size : 0;
    const unsigned char *bytes = plain ? hm_sys_mmap(*size, PROT_READ, MAP_PRIVATE, fd) : NULL;
    hm_sys_close(fd);
    return bytes;
}

static int elf_class(const char *path) {
    unsigned char head[EI_NIDENT];
    int fd = hm_sys_open(path, O_RDONLY | O_NOCTTY | O_NONBLOCK);
    if (fd < 0) return ELFCLASSNONE;
    long n = hm_sys(SYS_pread64, fd, head, sizeof head, 0);
    hm_sys_close(fd);
    return n == sizeof head && memcmp(head, ELFMAG, SELFMAG) == 0 ? head[EI_CLASS] : ELFCLASSNONE;
}

struct listing {
    const char *program, *program_rpath, *library_path, *cache;
    size_t cache_size;
};
static void list_needs(const struct listing *l, const char *path, int depth);

static void list_found(const struct listing *l, const char *path, int depth) {
    HM_OWN(struct hm_path, p);
    struct stat st;
    if (!hm_resolve(&p, AT_FDCWD, path)) return;
    bool fresh = hm_fresh(HM_READ, &p);
    int r = hm_sys_stat(p.s, &st, 0);
    if (r < 0)
        hm_absent(-r, &p);
    else if (fresh)
        hm_emit(HM_READ, &p);
    if (r == 0 && fresh) list_needs(l, p.s, depth + 1);
}

/* The cache holds the path of each library; where else its name stands in it does not matter. */
static void list_cached(const struct listing *l, const char *name, int depth) {
    size_t n = hm_len(name) + 1;
    for (const char *at = l->cache, *end = at + l->cache_size; at && (at = memmem(at, (size_t)(end - at), name, n)); at += n) {
        const char *begin = at;
        if (at == l->cache || at[-1] != '/') continue;
        while (begin > l->cache && begin[-1]) begin--;
        if (*begin == '/') list_found(l, begin, depth);
    }
}

static void list_along(const struct listing *l, const char *list, const char *separators, const char *origin, const char *name, int depth) {
    HM_TEXT_ROOM(path);
    while (path && list) {
        size_t len = strcspn(list, separators);
        if (!expand(path, HM_PATH, list, len, origin))
            hm_lost();
        else if ((len = hm_len(path), join(path, HM_PATH, &len, name)))
            list_found(l, path, depth);
        list = list + strcspn(list, separators);
        list = *list ? list + 1 : NULL;
    }
}

static void list_one(const struct listing *l, const struct needs *n, const char *origin, const char *name, int depth) {
    static const char machine[] = "/lib/x86_64-linux-gnu:/usr/lib/x86_64-linux-gnu:/lib:/usr/lib:/lib64:/usr/lib64";
    if (strchr(name, '/')) {
        list_found(l, name, depth);
        return;
    }
    list_along(l, n->rpath, ":", origin, name, depth);
    if (!n->runpath) list_along(l, l->program_rpath, ":", l->program, name, depth);
    list_along(l, l->library_path, ":;", origin, name, depth);
    list_along(l, n->runpath, ":", origin, name, depth);
    list_cached(l, name, depth);
    list_along(l, machine, ":", origin, name, depth);
}

static void list_needs(const struct listing *l, const char *path, int depth) {
    struct image image = {0};
    struct needs n;
    if (depth > 16) {
        hm_unseen("listing", path);
        return;
    }
    image.bytes = whole(path, &image.size);
    if (!image.bytes) return;
    if (image.size > EI_CLASS && image.bytes[EI_CLASS] == ELFCLASS64 && parts_of_image(&image) && dynamic_of_image(&n, &image)) {
        struct listing first = *l;
        if (!depth) first.program_rpath = n.rpath;
        for (const ElfW(Dyn) *d = n.dynamic; d->d_tag != DT_NULL; d++)
            if (d->d_tag == DT_NEEDED) list_one(&first, &n, path, n.strings + d->d_un.d_val, depth);
    }
    hm_sys_munmap((void *)(uintptr_t)image.bytes, image.size);
}

void hm_search_listed(const char *program, const char *const *library_path, const char *loader) {
    HM_OWN(struct hm_path, p);
    struct listing l = {0};
    if (!hm_resolve(&p, AT_FDCWD, program)) return;
    struct stat st;
    int r = hm_sys_stat(p.s, &st, 0);
    if (r < 0)
        hm_absent(-r, &p);
    else
        hm_emit(HM_READ, &p);
    int class = elf_class(p.s);
    if (r < 0 || !library_path || class != elf_class(loader)) return;
    if (class != ELFCLASS64) {
        hm_unseen("listing", p.s);
        return;
    }
    l.program = p.s;
    l.library_path = *library_path && **library_path ? *library_path : NULL;
    HM_OWN(struct hm_path, cache);
    if (hm_resolve(&cache, AT_FDCWD, "/etc/ld.so.cache")) hm_emit(HM_READ, &cache);
    l.cache = (const char *)whole("/etc/ld.so.cache", &l.cache_size);
    list_needs(&l, p.s, 0);
    if (l.cache) hm_sys_munmap((void *)(uintptr_t)l.cache, l.cache_size);
}
