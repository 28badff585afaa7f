/* load.c: objects loaded at run time. */
#include "interpose.h"

#include <dlfcn.h>
#include <fcntl.h>
#include <link.h>
#include <string.h>

#include "sys.h"

static __attribute__((noinline)) void about_to_load(const char *file) {
    HM_OWN(struct hm_path, p);
    if (!hm_on()) return;
    if (file && strchr(file, '/') && hm_resolve(&p, AT_FDCWD, file)) {
        struct stat st;
        int r = hm_sys_stat(p.s, &st, 0);
        if (r == 0)
            hm_emit(HM_READ, &p);
        else
            hm_absent(-r, &p);
    } else if (file && *file && !strchr(file, '/')) {
        hm_search_plain(file);
    }
    hm_load_later();
}

/* libc looks for plain names along the caller's own search path, and finds the caller by the return address: these two
 * must end in a jump, which -O2 makes of the last call. */
HM_API void *dlopen(const char *file, int mode) {
    about_to_load(file);
    return NEXT(dlopen)(file, mode);
}

HM_API void *dlmopen(Lmid_t space, const char *file, int mode) {
    about_to_load(file);
    return NEXT(dlmopen)(space, file, mode);
}

/* A program built with -fsanitize=address ends at once when another library stands before its run time in this list. It
 * is the only one that is not shown us: unwinding through our callbacks would need to find us. */
typedef int hm_object(struct dl_phdr_info *, size_t, void *);
struct filtered {
    hm_object *user;
    void *arg;
};
extern void __asan_init(void) __attribute__((weak));

static int all_but_us(struct dl_phdr_info *info, size_t size, void *arg) {
    struct filtered *f = arg;
    uintptr_t here = (uintptr_t)&hm - info->dlpi_addr;
    for (int i = 0; i < info->dlpi_phnum; i++)
        if (info->dlpi_phdr[i].p_type == PT_LOAD && here - info->dlpi_phdr[i].p_vaddr < info->dlpi_phdr[i].p_memsz) return 0;
    return f->user(info, size, f->arg);
}

HM_API int dl_iterate_phdr(hm_object *user, void *arg) {
    struct filtered f = {user, arg};
    return __asan_init ? NEXT(dl_iterate_phdr)(all_but_us, &f) : NEXT(dl_iterate_phdr)(user, arg);
}
