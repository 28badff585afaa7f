/* program.c: what will run when a file is executed, and whether the interposer will come up in it. */
#include "interpose.h"

#include <string.h>

#include "image.h"
#include "sys.h"

#define MOST_SCRIPTS 4 /* the kernel allows five files in a row */

struct head {
    struct stat st;
    size_t len;
    enum hm_elf elf;
    char *bytes; /* a room */
};

static int read_head(struct head *h, const char *path) {
    int fd = hm_sys_open(path, O_RDONLY | O_NOCTTY | O_NONBLOCK);
    if (fd < 0) return fd;
    long n = -EISDIR;
    if (hm_sys_fstat(fd, &h->st) == 0 && S_ISREG(h->st.st_mode)) n = hm_sys(SYS_pread64, fd, h->bytes, HM_IMAGE_HEAD, 0);
    h->elf = n < 0 ? HM_ELF_NONE : hm_elf_kind(fd, h->bytes, (size_t)n);
    hm_sys_close(fd);
    if (n < 0) return (int)n;
    h->len = (size_t)n;
    h->bytes[n] = 0;
    return 0;
}

/* ld.so drops LD_PRELOAD for a program that gains rights. */
static bool gains_rights(const struct hm_path *p, const struct stat *st) {
    uid_t uid = (uid_t)hm_sys(SYS_geteuid, 0, 0, 0, 0);
    if (st->st_mode & S_ISUID && st->st_uid != uid) return true;
    if ((st->st_mode & (S_ISGID | S_IXGRP)) == (S_ISGID | S_IXGRP) && st->st_gid != (gid_t)hm_sys(SYS_getegid, 0, 0, 0, 0)) return true;
    return uid != 0 && hm_sys(SYS_getxattr, p->s, "security.capability", NULL, 0) > 0;
}

bool hm_is_loader(const char *path) {
    const char *base = hm_base(path);
    return hm_starts(base, "ld-linux") || hm_starts(base, "ld.so") || hm_starts(base, "ld-2.");
}

static enum hm_image examine(struct hm_path *p, int depth) {
    HM_TEXT_ROOM(bytes);
    struct head h = {.bytes = bytes};
    hm_emit(HM_READ, p);
    if (!bytes) return HM_IMG_OTHER;
    int r = read_head(&h, p->s);
    if (r == -ENOENT || r == -ENOTDIR || r == -ELOOP || r == -EISDIR) return HM_IMG_OTHER;
    if (r < 0) {
        hm_unseen("noread", p->s);
        return HM_IMG_UNSEEN;
    }
    if (!(h.st.st_mode & 0111)) return HM_IMG_OTHER; /* the exec will fail */
    if (h.len > 2 && h.bytes[0] == '#' && h.bytes[1] == '!') {
        char *name = h.bytes + 2;
        while (*name == ' ' || *name == '\t') name++;
        char *end = name;
        while (*end && *end != ' ' && *end != '\t' && *end != '\n') end++;
        *end = 0;
        struct hm_path *next = p; /* p is not needed any more, and a path is large */
        if (depth >= MOST_SCRIPTS || !*name || !hm_resolve(next, AT_FDCWD, name)) return HM_IMG_OTHER;
        if (hm_gate(next, HM_READING)) return HM_IMG_OTHER;
        return examine(next, depth + 1);
    }
    if (h.elf == HM_ELF_NONE) return HM_IMG_OTHER; /* ENOEXEC */
    if (gains_rights(p, &h.st)) {
        hm_unseen("setuid", p->s);
        return HM_IMG_UNSEEN;
    }
    if (h.elf == HM_ELF_FOREIGN) {
        hm_unseen("32bit", p->s);
        return HM_IMG_FOREIGN;
    }
    if (h.elf == HM_ELF_STATIC && !hm_is_loader(p->s)) {
        hm_unseen("static", p->s);
        return HM_IMG_UNSEEN;
    }
    return HM_IMG_TRACED;
}

enum hm_image hm_examine(struct hm_path *p) {
    return examine(p, 0);
}
