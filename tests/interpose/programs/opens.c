/* Every way to open a file by descriptor. */
#define _GNU_SOURCE
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

extern int __open_2(const char *, int);
extern int __open64_2(const char *, int);
extern int __openat_2(int, const char *, int);
extern int __openat64_2(int, const char *, int);

int main(void) {
    int dir = open("dir", O_RDONLY | O_DIRECTORY);
    close(open("read", O_RDONLY));
    close(open64("read64", O_RDONLY));
    close(openat(dir, "at", O_RDONLY));
    close(openat64(dir, "at64", O_RDONLY));
    close(__open_2("two", O_RDONLY));
    close(__open64_2("two64", O_RDONLY));
    close(__openat_2(dir, "attwo", O_RDONLY));
    close(__openat64_2(dir, "attwo64", O_RDONLY));
    close(open("absent", O_RDONLY));
    close(open("dir/../dir/./at", O_RDONLY));
    close(open("link/at", O_RDONLY));
    close(open("plainlink", O_RDONLY));
    close(open(".", O_RDONLY));
    close(open("path", O_PATH));
    close(open("new", O_WRONLY | O_CREAT | O_TRUNC, 0644));
    close(creat("created", 0644));
    close(creat64("created64", 0644));
    close(open("excl", O_WRONLY | O_CREAT | O_EXCL, 0644));
    close(open("append", O_WRONLY | O_APPEND));
    close(open("appendnew", O_WRONLY | O_APPEND | O_CREAT, 0644));
    close(open("both", O_RDWR));
    close(open("plainlink2", O_WRONLY | O_TRUNC));
    int unnamed = open(".", O_TMPFILE | O_RDWR, 0600);
    if (unnamed >= 0) linkat(unnamed, "", AT_FDCWD, "named", AT_EMPTY_PATH);
    char temp[] = "tempXXXXXX", suffixed[] = "tempXXXXXX.s", made[] = "tdirXXXXXX";
    close(mkstemp(temp));
    close(mkostemps64(suffixed, 2, O_CLOEXEC));
    if (!mkdtemp(made)) return 1;
    return 0;
}
