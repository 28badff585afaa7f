/* A preloaded allocator that opens files, asks and calls the kernel while libc and ld.so are only coming up. */
#define _GNU_SOURCE
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

static char pool[1 << 24];
static size_t used;
static int inside;

void *malloc(size_t n) {
    if (!inside) {
        inside = 1;
        close(open("early-open", O_RDONLY));
        close((int)syscall(SYS_openat, AT_FDCWD, "early-raw", O_RDONLY));
        getenv("EARLY");
        inside = 0;
    }
    n = (n + 31) & ~(size_t)15;
    char *at = pool + used;
    used += n;
    *(size_t *)at = n - 16;
    return at + 16;
}
void free(void *at) { (void)at; }
void *calloc(size_t n, size_t size) { return malloc(n * size); }
void *realloc(void *old, size_t n) {
    void *at = malloc(n);
    size_t before = old ? ((size_t *)old)[-2] : 0;
    if (old) memcpy(at, old, before < n ? before : n);
    return at;
}
__attribute__((constructor)) static void start(void) { close(open("early-constructor", O_RDONLY)); }
