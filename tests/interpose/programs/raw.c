/* The same calls by syscall(2). */
#define _GNU_SOURCE
#include <fcntl.h>
#include <linux/openat2.h>
#include <stdio.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

int main(void) {
    struct stat st;
    struct statx stx;
    struct open_how how = {.flags = O_RDONLY};
    char buf[64];
    close((int)syscall(SYS_openat, AT_FDCWD, "openat", O_RDONLY, 0));
    close((int)syscall(SYS_openat2, AT_FDCWD, "openat2", &how, sizeof how));
    syscall(SYS_newfstatat, AT_FDCWD, "fstatat", &st, 0);
    syscall(SYS_statx, AT_FDCWD, "statx", 0, STATX_BASIC_STATS, &stx);
    syscall(SYS_faccessat, AT_FDCWD, "faccessat", R_OK);
    syscall(SYS_faccessat2, AT_FDCWD, "faccessat2", R_OK, 0);
    syscall(SYS_readlinkat, AT_FDCWD, "readlinkat", buf, sizeof buf);
    syscall(SYS_mkdirat, AT_FDCWD, "mkdirat", 0755);
    syscall(SYS_symlinkat, "x", AT_FDCWD, "symlinkat");
    syscall(SYS_renameat2, AT_FDCWD, "from", AT_FDCWD, "to", 0);
    syscall(SYS_unlinkat, AT_FDCWD, "unlinkat", 0);
    syscall(SYS_utimensat, AT_FDCWD, "utimensat", NULL, 0);
#ifdef SYS_open
    close((int)syscall(SYS_open, "open", O_RDONLY, 0));
    syscall(SYS_stat, "stat", &st);
    syscall(SYS_unlink, "unlink");
#endif
    return syscall(SYS_openat, AT_FDCWD, "absent", O_RDONLY, 0) >= 0;
}
