/* Copies a file in one of the many ways in which programs reach the file system: kinds KIND IN OUT. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <linux/io_uring.h>
#include <linux/openat2.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#define CREATE (O_WRONLY | O_CREAT | O_TRUNC)

extern char **environ;
static const char *from, *to;
static char text[4096];
static long length;

static long must(long result, const char *what)
{
	if (result < 0) {
		perror(what);
		exit(1);
	}
	return result;
}

static void take(int fd) { length = must(read(fd, text, sizeof text), "read"); }
static void give(int fd) { must(write(fd, text, (size_t)length), "write"); }
static int source(void) { return (int)must(open(from, O_RDONLY), from); }
static int target(void) { return (int)must(open(to, CREATE, 0666), to); }
static void plain(void) { take(source()); give(target()); }

static void await(pid_t child)
{
	int status;
	must(waitpid(child, &status, 0), "waitpid");
	if (status)
		exit(1);
}

static char **copy_command(void)
{
	static char *words[] = {"cp", NULL, NULL, NULL};
	words[1] = (char *)from;
	words[2] = (char *)to;
	return words;
}

static void *reader(void *unused) { take(source()); return unused; }
static void *writer(void *unused) { give(target()); return unused; }

static void by_threads(void)
{
	pthread_t thread;
	must(-pthread_create(&thread, NULL, reader, NULL), "pthread_create");
	pthread_join(thread, NULL);
	must(-pthread_create(&thread, NULL, writer, NULL), "pthread_create");
	pthread_join(thread, NULL);
}

static void by_vfork(void)
{
	pid_t child = vfork();
	if (!child) {
		execv("/bin/cp", copy_command());
		_exit(127);
	}
	await(child);
}

static void by_posix_spawn(void)
{
	pid_t child;
	must(-posix_spawn(&child, "/bin/cp", NULL, NULL, copy_command(), environ), "posix_spawn");
	await(child);
}

static int in_clone(void *unused) { (void)unused; plain(); return 0; }

static void by_clone(void)
{
	static char stack[1 << 16] __attribute__((aligned(16)));
	await((pid_t)must(clone(in_clone, stack + sizeof stack, SIGCHLD, NULL), "clone"));
}

static void by_fork_without_exec(void)
{
	pid_t child = fork();
	if (!child) {
		plain();
		_exit(0);
	}
	await(child);
}

static void by_fexecve(void)
{
	int program = (int)must(open("/bin/cp", O_RDONLY | O_CLOEXEC), "/bin/cp");
	fexecve(program, copy_command(), environ);
	must(-1, "fexecve");
}

static void by_openat2(void)
{
	struct open_how how = {.flags = O_RDONLY}, make = {.flags = CREATE, .mode = 0666};
	take((int)must(syscall(SYS_openat2, AT_FDCWD, from, &how, sizeof how), "openat2"));
	give((int)must(syscall(SYS_openat2, AT_FDCWD, to, &make, sizeof make), "openat2"));
}

static void by_syscall(void)
{
	take((int)must(syscall(SYS_openat, AT_FDCWD, from, O_RDONLY), from));
	give((int)must(syscall(SYS_openat, AT_FDCWD, to, CREATE, 0666), to));
}

static void by_copy_file_range(void)
{
	must(copy_file_range(source(), NULL, target(), NULL, sizeof text, 0), "copy_file_range");
}

static void by_sendfile(void) { must(sendfile(target(), source(), NULL, sizeof text), "sendfile"); }

static void by_mmap(void)
{
	struct stat info;
	int in = source(), out = (int)must(open(to, O_RDWR | O_CREAT | O_TRUNC, 0666), to);
	must(fstat(in, &info), "fstat");
	must(ftruncate(out, info.st_size), "ftruncate");
	void *old = mmap(NULL, (size_t)info.st_size, PROT_READ, MAP_PRIVATE, in, 0);
	void *new = mmap(NULL, (size_t)info.st_size, PROT_READ | PROT_WRITE, MAP_SHARED, out, 0);
	must(old == MAP_FAILED || new == MAP_FAILED ? -1 : 0, "mmap");
	close(in);
	close(out);
	memcpy(new, old, (size_t)info.st_size);
}

static void by_tmpfile(void)
{
	char name[64];
	int out = (int)must(open(".", O_WRONLY | O_TMPFILE, 0666), "O_TMPFILE");
	take(source());
	give(out);
	snprintf(name, sizeof name, "/proc/self/fd/%d", out);
	unlink(to);
	must(linkat(AT_FDCWD, name, AT_FDCWD, to, AT_SYMLINK_FOLLOW), "linkat");
}

static void by_exchange(void)
{
	char other[4096];
	snprintf(other, sizeof other, "%s.other", to);
	close(target());
	take(source());
	give((int)must(open(other, CREATE, 0666), other));
	must(syscall(SYS_renameat2, AT_FDCWD, other, AT_FDCWD, to, RENAME_EXCHANGE), "renameat2");
	must(unlink(other), "unlink");
}

static void by_directory(void)
{
	int here = (int)must(open(".", O_RDONLY | O_DIRECTORY), ".");
	must(chdir("/"), "chdir");
	take((int)must(openat(here, from, O_RDONLY), from));
	must(fchdir(here), "fchdir");
	give(target());
}

static void by_stdio(void)
{
	FILE *in = fopen(from, "r"), *out = fopen(to, "w");
	for (int c; in && out && (c = getc(in)) != EOF;)
		putc(c, out);
	must(in && out && !fclose(out) ? 0 : -1, "stdio");
}

/* One operation on a ring of one entry; the result of the operation. */
static long ring_operation(struct io_uring_sqe wanted)
{
	struct io_uring_params setup = {0};
	int ring = (int)syscall(SYS_io_uring_setup, 1, &setup);
	if (ring < 0)
		return -ENOSYS; /* switched off on this machine */
	size_t sq = setup.sq_off.array + setup.sq_entries * sizeof(unsigned);
	size_t cq = setup.cq_off.cqes + setup.cq_entries * sizeof(struct io_uring_cqe);
	char *s = mmap(NULL, sq, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_POPULATE, ring, IORING_OFF_SQ_RING);
	char *c = mmap(NULL, cq, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_POPULATE, ring, IORING_OFF_CQ_RING);
	struct io_uring_sqe *entry = mmap(NULL, sizeof *entry, PROT_READ | PROT_WRITE, MAP_SHARED, ring, IORING_OFF_SQES);
	*entry = wanted;
	*(unsigned *)(s + setup.sq_off.array) = 0;
	__atomic_store_n((unsigned *)(s + setup.sq_off.tail), 1, __ATOMIC_RELEASE);
	must(syscall(SYS_io_uring_enter, ring, 1, 1, IORING_ENTER_GETEVENTS, NULL, 0), "io_uring_enter");
	return ((struct io_uring_cqe *)(c + setup.cq_off.cqes))->res;
}

static void by_io_uring(void)
{
	struct io_uring_sqe wanted = {.opcode = IORING_OP_OPENAT, .fd = AT_FDCWD, .addr = (unsigned long)from};
	long in = ring_operation(wanted);
	take(in == -ENOSYS ? source() : (int)must(in, from));
	give(target());
}

static const struct { const char *name; void (*copy)(void); } kinds[] = {
	{"threads", by_threads}, {"vfork", by_vfork}, {"posix_spawn", by_posix_spawn}, {"clone", by_clone},
	{"fork", by_fork_without_exec}, {"fexecve", by_fexecve}, {"openat2", by_openat2}, {"syscall", by_syscall},
	{"copy_file_range", by_copy_file_range}, {"sendfile", by_sendfile}, {"mmap", by_mmap}, {"tmpfile", by_tmpfile},
	{"exchange", by_exchange}, {"directory", by_directory}, {"stdio", by_stdio}, {"io_uring", by_io_uring},
};

int main(int argc, char **argv)
{
	if (argc != 4)
		return 2;
	from = argv[2];
	to = argv[3];
	for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++)
		if (!strcmp(argv[1], kinds[i].name)) {
			kinds[i].copy();
			return 0;
		}
	return 2;
}
