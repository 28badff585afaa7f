/* Stands in for make: prints the times that it sees of its arguments, in seconds. */
#define _GNU_SOURCE
#include <stdio.h>
#include <sys/stat.h>

int main(int argc, char **argv) {
    struct stat st;
    for (int i = 1; i < argc; i++)
        if (stat(argv[i], &st) == 0)
            printf("%lld.%09ld\n", (long long)st.st_mtim.tv_sec, st.st_mtim.tv_nsec);
        else
            printf("absent\n");
    return 0;
}
