/* Does one thing to one path, and prints whether it worked: what a step may do under the clean view. */
#define _GNU_SOURCE
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define IS(name) (strcmp(what, name) == 0)

static int run(const char *what, const char *path) {
    struct stat st;
    if (IS("read")) return open(path, O_RDONLY);
    if (IS("create")) return open(path, O_WRONLY | O_CREAT | O_TRUNC, 0644);
    if (IS("append")) return open(path, O_WRONLY | O_CREAT | O_APPEND, 0644);
    if (IS("change")) return open(path, O_RDWR);
    if (IS("stat")) return stat(path, &st);
    if (IS("access")) return access(path, F_OK);
    if (IS("unlink")) return unlink(path);
    if (IS("mkdir")) return mkdir(path, 0755);
    if (IS("rmdir")) return rmdir(path);
    if (IS("chdir")) return chdir(path);
    if (IS("rename")) return rename(path, "renamed");
    if (IS("replace")) return rename("other", path);
    if (IS("symlink")) return symlink("x", path);
    if (IS("exec")) return execl(path, path, (char *)NULL);
    if (IS("list")) {
        DIR *dir = opendir(path);
        if (!dir) return -1;
        for (struct dirent *e; (e = readdir(dir));)
            if (e->d_name[0] != '.') printf("%s ", e->d_name);
        return 0;
    }
    return -1;
}

int main(int argc, char **argv) {
    for (int i = 1; i + 1 < argc; i += 2) {
        errno = 0;
        printf("%s\n", run(argv[i], argv[i + 1]) >= 0 ? "ok" : strerrorname_np(errno));
    }
    return 0;
}
