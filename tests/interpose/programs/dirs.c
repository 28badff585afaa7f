/* Every way to list a directory. */
#define _GNU_SOURCE
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <fts.h>
#include <ftw.h>
#include <glob.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static int visits;
static int visit(const char *path, const struct stat *st, int type, struct FTW *where) {
    (void)st, (void)type, (void)where;
    printf("nftw %s\n", path);
    return visits++ > 100;
}

static int keep(const struct dirent *entry) { return strcmp(entry->d_name, "two") != 0; }

int main(void) {
    DIR *dir = opendir("a");
    errno = 77;
    for (struct dirent *e; (e = readdir(dir));)
        if (e->d_name[0] != '.') printf("readdir %s\n", e->d_name);
    if (errno != 77) return 1;
    closedir(dir);
    dir = fdopendir(open("b", O_RDONLY | O_DIRECTORY));
    for (struct dirent64 *e; (e = readdir64(dir));)
        if (e->d_name[0] != '.') printf("readdir64 %s\n", e->d_name);
    closedir(dir);
    struct dirent **list;
    int n = scandir("c", &list, keep, alphasort);
    for (int i = 0; i < n; i++)
        if (list[i]->d_name[0] != '.') printf("scandir %s\n", list[i]->d_name);
    glob_t g;
    if (glob("d/*", 0, NULL, &g) == 0)
        for (size_t i = 0; i < g.gl_pathc; i++) printf("glob %s\n", g.gl_pathv[i]);
    globfree(&g);
    nftw("e", visit, 8, FTW_PHYS);
    char *roots[] = {"f", NULL};
    FTS *tree = fts_open(roots, FTS_PHYSICAL, NULL);
    for (FTSENT *e; (e = fts_read(tree));)
        if (e->fts_info != FTS_DP) printf("fts %s\n", e->fts_path);
    fts_close(tree);
    char buf[4096];
    int fd = open("g", O_RDONLY | O_DIRECTORY);
    for (ssize_t got; (got = getdents64(fd, buf, sizeof buf)) > 0;)
        for (ssize_t at = 0; at < got; at += ((struct dirent64 *)(buf + at))->d_reclen)
            if (((struct dirent64 *)(buf + at))->d_name[0] != '.')
                printf("getdents64 %s\n", ((struct dirent64 *)(buf + at))->d_name);
    if (opendir("absent")) return 1;
    return 0;
}
