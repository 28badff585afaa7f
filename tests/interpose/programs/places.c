/* Relative names after the working directory changed, and after it was removed. */
#define _GNU_SOURCE
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

int main(void) {
    int top = open(".", O_RDONLY);
    close(open("here", O_RDONLY));
    if (chdir("one")) return 1;
    close(open("in-one", O_RDONLY));
    if (chdir("../link")) return 1;
    close(open("in-two", O_RDONLY));
    close(open("../beside", O_RDONLY));
    if (fchdir(top)) return 1;
    close(open("one/../here-again", O_RDONLY));
    int fd = open("mapped", O_RDWR);
    char *map = mmap(NULL, 1, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    map[0] = 'x';
    int from = open("copied", O_RDONLY), to = open("copy", O_WRONLY | O_CREAT | O_TRUNC, 0644);
    if (copy_file_range(from, NULL, to, NULL, 1, 0) != 1) return 1;
    if (chdir("away") || rmdir("../away")) return 1;
    close(open("nothing", O_RDONLY));
    return 0;
}
