/* hidden.c: directories with hidden entries in them that a step removes, moves, or puts something else in the place of.
 *
 * In the clean view those entries are not there, so the call must not fail because of them, nor take them along to a
 * name at which nothing hides them. They go from the disk; the steps that make them find them missing and run. */
#include "interpose.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>

#include "sys.h"

enum sweep { LOOK, REMOVE, SEPARATE, SHOW };

/* p: a directory, the same again afterwards. LOOK: is everything below it hidden? REMOVE: remove all of it.
 * SEPARATE: remove what is hidden, and have what the disk holds in a later version put right. SHOW: all of it was made. */
static bool sweep(struct hm_path *p, enum sweep what) {
    HM_TEXT_ROOM(buf);
    if (!buf) return false;
    int fd = hm_sys_open(p->s, O_RDONLY | O_DIRECTORY | O_NOFOLLOW);
    if (fd < 0) return false;
    size_t len = p->len;
    bool good = true;
    long n;
    while (good && (n = hm_sys(SYS_getdents64, fd, buf, HM_PATH, 0)) > 0) {
        for (long at = 0; good && at < n;) {
            const struct dirent64 *entry = (const struct dirent64 *)(buf + at);
            at += entry->d_reclen;
            if (hm_dots(entry->d_name)) continue;
            if (!hm_join(p, len, entry->d_name)) {
                good = false;
                break;
            }
            struct stat st;
            bool hidden = p->state == HM_V_HIDDEN;
            bool directory = hm_sys_stat(p->s, &st, AT_SYMLINK_NOFOLLOW) == 0 && S_ISDIR(st.st_mode);
            if (what == LOOK) {
                good = hidden && (!directory || sweep(p, what));
            } else if (what == SHOW) {
                hm_live(p);
                if (directory) sweep(p, what);
            } else if (hidden) {
                if (directory) sweep(p, REMOVE);
                hm_sys(SYS_unlinkat, AT_FDCWD, p->s, directory ? AT_REMOVEDIR : 0, 0);
                hm_emit(HM_REMOVE, p);
            } else if (p->state == HM_V_AHEAD) {
                hm_want(p);
            } else if (directory) {
                sweep(p, what);
            }
            p->len = len;
            p->s[len] = 0;
        }
    }
    hm_sys_close(fd);
    p->len = len;
    hm_settle(p);
    return good;
}

static bool swept(const struct hm_path *directory, enum sweep what) {
    HM_OWN(struct hm_path, p);
    if (!hm_hides() || !hm_copy_path(&p, directory)) return false;
    return sweep(&p, what);
}

bool hm_hidden_emptied(const struct hm_path *directory) { return swept(directory, LOOK) && swept(directory, REMOVE); }

void hm_hidden_separated(const struct hm_path *directory) { swept(directory, SEPARATE); }

void hm_hidden_shown(const struct hm_path *directory) { swept(directory, SHOW); }
