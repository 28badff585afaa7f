/* sys.h: raw system calls; they return -errno and touch neither errno nor any wrapper of ours. */
#ifndef HM_SYS_H
#define HM_SYS_H
#include <fcntl.h>
#include <sys/stat.h>
#include <sys/syscall.h>

#if defined __x86_64__
static inline long hm_sys6(long n, long a, long b, long c, long d, long e, long f) {
    long r;
    register long r10 __asm__("r10") = d;
    register long r8 __asm__("r8") = e;
    register long r9 __asm__("r9") = f;
    __asm__ volatile("syscall"
                     : "=a"(r)
                     : "0"(n), "D"(a), "S"(b), "d"(c), "r"(r10), "r"(r8), "r"(r9)
                     : "rcx", "r11", "memory");
    return r;
}
#elif defined __aarch64__
static inline long hm_sys6(long n, long a, long b, long c, long d, long e, long f) {
    register long x8 __asm__("x8") = n;
    register long x0 __asm__("x0") = a;
    register long x1 __asm__("x1") = b;
    register long x2 __asm__("x2") = c;
    register long x3 __asm__("x3") = d;
    register long x4 __asm__("x4") = e;
    register long x5 __asm__("x5") = f;
    __asm__ volatile("svc 0" : "+r"(x0) : "r"(x8), "r"(x1), "r"(x2), "r"(x3), "r"(x4), "r"(x5) : "memory");
    return x0;
}
#else
#error "the interposer knows x86-64 and aarch64"
#endif
#define hm_sys(n, a, b, c, d) hm_sys6((n), (long)(a), (long)(b), (long)(c), (long)(d), 0, 0)

static inline int hm_sys_open(const char *path, int flags) {
    return (int)hm_sys(SYS_openat, AT_FDCWD, path, flags | O_CLOEXEC, 0);
}
static inline void hm_sys_close(int fd) { hm_sys(SYS_close, fd, 0, 0, 0); }
static inline long hm_sys_readlink(const char *path, char *buf, size_t size) {
    return hm_sys(SYS_readlinkat, AT_FDCWD, path, buf, size);
}
static inline int hm_sys_fstat(int fd, struct stat *st) {
    static const char empty[1];
    return (int)hm_sys(SYS_newfstatat, fd, empty, st, AT_EMPTY_PATH);
}
static inline int hm_sys_stat(const char *path, struct stat *st, int flags) {
    return (int)hm_sys(SYS_newfstatat, AT_FDCWD, path, st, flags);
}
static inline void *hm_sys_mmap(size_t size, int prot, int flags, int fd) {
    long r = hm_sys6(SYS_mmap, 0, (long)size, prot, flags, fd, 0);
    return r < 0 && r > -4096 ? NULL : (void *)r;
}
static inline void hm_sys_munmap(void *p, size_t size) { hm_sys(SYS_munmap, p, size, 0, 0); }
#endif
