/* Names made, moved and removed; attributes changed. */
#define _GNU_SOURCE
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <sys/types.h>
#include <unistd.h>
#include <utime.h>

int main(void) {
    int dir = open("dir", O_RDONLY | O_DIRECTORY), fd;
    rename("from", "to");
    renameat(dir, "from", dir, "to");
    renameat2(dir, "from2", AT_FDCWD, "to2", RENAME_NOREPLACE);
    rename("olddir", "newdir");
    rename("absent", "to3");
    link("linked", "hard");
    linkat(dir, "linked", dir, "hard", 0);
    symlink("target", "sym");
    symlinkat("target", dir, "sym");
    mkdir("made", 0755);
    mkdir("made", 0755);
    mkdirat(dir, "made", 0755);
    mkfifo("fifo", 0600);
    mknod("node", S_IFREG | 0600, 0);
    unlink("gone");
    unlinkat(dir, "gone", 0);
    remove("gone2");
    rmdir("gonedir");
    unlink("absent2");
    chmod("mode", 0600);
    fchmodat(dir, "mode", 0600, 0);
    fd = open("fmode", O_RDONLY);
    fchmod(fd, 0600);
    futimens(fd, NULL);
    chown("owner", getuid(), getgid());
    utime("time", NULL);
    utimes("time2", NULL);
    utimensat(dir, "time", NULL, 0);
    truncate("cut", 0);
    truncate("cut2", 1);
    return 0;
}
