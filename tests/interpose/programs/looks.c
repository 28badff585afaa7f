/* Every way to look at a file without opening it. */
#define _GNU_SOURCE
#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

extern int __xstat(int, const char *, struct stat *);
extern int __lxstat(int, const char *, struct stat *);
extern int __fxstatat(int, int, const char *, struct stat *, int);
extern char *__realpath_chk(const char *, char *, size_t);
extern ssize_t __readlink_chk(const char *, char *, size_t, size_t);
extern ssize_t __readlinkat_chk(int, const char *, char *, size_t, size_t);

int main(void) {
    struct stat st;
    struct stat64 st64;
    struct statx stx;
    char buf[4096];
    int dir = open("dir", O_RDONLY | O_DIRECTORY);
    stat("stat", &st);
    stat64("stat64", &st64);
    lstat("lstat", &st);
    lstat64("lstat64", &st64);
    __xstat(1, "xstat", &st);
    __lxstat(1, "lxstat", &st);
    __fxstatat(1, dir, "fxstatat", &st, 0);
    fstatat(dir, "fstatat", &st, AT_SYMLINK_NOFOLLOW);
    fstatat64(dir, "fstatat64", &st64, 0);
    statx(dir, "statx", 0, STATX_BASIC_STATS, &stx);
    access("access", R_OK);
    eaccess("eaccess", R_OK);
    euidaccess("euidaccess", R_OK);
    faccessat(dir, "faccessat", R_OK, 0);
    readlink("link", buf, sizeof buf);
    readlinkat(dir, "link", buf, sizeof buf);
    __readlink_chk("link2", buf, 10, sizeof buf);
    __readlinkat_chk(dir, "link2", buf, 10, sizeof buf);
    if (!realpath("link3", buf) || !__realpath_chk("link4", buf, sizeof buf)) return 1;
    free(canonicalize_file_name("dir/link5"));
    stat("absent", &st);
    stat("stat/below", &st);
    stat("loop", &st);
    lstat("absent2", &st);
    access("absent3", F_OK);
    readlink("absent4", buf, sizeof buf);
    if (realpath("absent5", buf)) return 1;
    stat("dirlink/../stat2", &st);
    return fstatat(dir, "", &st, AT_EMPTY_PATH);
}
