/* load.c: objects loaded at run time. */
#include "interpose.h"

#include <dlfcn.h>
#include <fcntl.h>
#include <string.h>

#include "sys.h"

static __attribute__((noinline)) void about_to_load(const char *file) {
    struct hm_path p;
    if (!hm_on()) return;
    if (file && strchr(file, '/') && hm_resolve(&p, AT_FDCWD, file)) {
        struct stat st;
        int r = hm_sys_stat(p.s, &st, 0);
        if (r == 0)
            hm_emit(HM_READ, &p);
        else
            hm_absent(-r, &p);
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
