/* The tool of generated projects: runs a command, or compiles in a small way, and logs what went in and what came out.
 *
 *   probe [-i FILE] [-l DIR] [-e VARIABLE] [-o FILE] ... -- COMMAND ARGUMENTS   run a command
 *   probe cc [-I DIR] [-D WORD] [-MD DEPFILE] -o FILE SOURCE                    expand #include lines
 *
 * The log (DIR/bin/probe writes DIR/runs.log) is read and written, and the digests in it are taken, by system calls of
 * our own, which the build tool under test can't see: only what the command itself does counts as an access.
 * "S" line: a run began. "E" line: it ended; directory, arguments, exit status, inputs and outputs with their digests.
 *
 * A file DIR/fault holding "OFFSET NUMBER ACTION" makes the run that comes when NUMBER runs have begun since OFFSET of
 * the log send a signal: self, launcher (the parent), make (its parent), all, int; after "torn-", half an output lies
 * there first. The fault is taken away before it strikes.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#if !defined(__x86_64__)
#error "probe.c: teach raw() this machine's system call"
#endif

static long raw(long number, long a, long b, long c, long d)
{
	long result;
	register long r10 __asm__("r10") = d;

	__asm__ volatile("syscall" : "=a"(result) : "a"(number), "D"(a), "S"(b), "d"(c), "r"(r10) : "rcx", "r11", "memory");
	return result;
}

static char home[PATH_MAX]; /* the directory above the one this program lies in */
static char line[1 << 18];  /* the E line while it grows */
static size_t used;

static void put(const char *text)
{
	for (; *text && used < sizeof line - 2; text++)
		line[used++] = *text == '\n' || *text == '\t' ? ' ' : *text;
}

static void mark(char separator)
{
	if (used < sizeof line - 2)
		line[used++] = separator;
}

static long raw_open(const char *path, long flags)
{
	return raw(SYS_openat, AT_FDCWD, (long)path, flags, 0);
}

static void log_bytes(const char *data, size_t size)
{
	char path[PATH_MAX + 16];

	snprintf(path, sizeof path, "%s/runs.log", home);
	long fd = raw_open(path, O_WRONLY | O_APPEND);
	if (fd >= 0) {
		raw(SYS_write, fd, (long)data, (long)size, 0);
		raw(SYS_close, fd, 0, 0, 0);
	}
}

/* Digest of what a path leads to: "-" nothing, "dir", or FNV-1a of the content. */
static const char *digest(const char *path)
{
	static char text[24];
	char buffer[8192];
	uint64_t hash = 14695981039346656037u;
	long fd = raw_open(path, O_RDONLY | O_CLOEXEC), got;

	if (fd < 0)
		return "-";
	while ((got = raw(SYS_read, fd, (long)buffer, sizeof buffer, 0)) > 0)
		for (long at = 0; at < got; at++)
			hash = (hash ^ (unsigned char)buffer[at]) * 1099511628211u;
	raw(SYS_close, fd, 0, 0, 0);
	if (got == -EISDIR)
		return "dir";
	snprintf(text, sizeof text, "%016llx", (unsigned long long)hash);
	return text;
}

/* What a path itself is: a link says where to. */
static const char *own_digest(const char *path)
{
	static char text[PATH_MAX + 8];
	char target[PATH_MAX] = "";
	long size = raw(SYS_readlinkat, AT_FDCWD, (long)path, (long)target, sizeof target - 1);

	if (size < 0)
		return digest(path);
	target[size] = '\0';
	snprintf(text, sizeof text, "link:%s", target);
	return text;
}

/* What a command is given: the link, if it is one, and what it leads to. */
static const char *input_digest(const char *path)
{
	static char text[PATH_MAX + 40];
	const char *own = own_digest(path);

	if (strncmp(own, "link:", 5))
		return own;
	snprintf(text, sizeof text, "%s %s", own, digest(path));
	return text;
}

static void put_pair(char kind, const char *name, const char *value)
{
	char letter[2] = {kind, '\0'};

	mark('\t');
	put(letter);
	put(name);
	put("=");
	put(value);
}

/* Names in a directory, in the order in which they come: the reader sorts. */
static void put_listing(const char *directory)
{
	char buffer[16384];
	long fd = raw_open(directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC), got;

	put_pair('l', directory, "");
	if (fd < 0)
		return;
	while ((got = raw(SYS_getdents64, fd, (long)buffer, sizeof buffer, 0)) > 0)
		for (long at = 0; at < got;) {
			struct { uint64_t ino; int64_t off; unsigned short length; unsigned char type; char name[]; } *entry;
			entry = (void *)(buffer + at);
			put("/");
			put(entry->name);
			at += entry->length;
		}
	raw(SYS_close, fd, 0, 0, 0);
}

static void begin(int argc, char **argv)
{
	char cwd[PATH_MAX] = "";

	raw(SYS_getcwd, (long)cwd, sizeof cwd, 0, 0);
	log_bytes("S\n", 2);
	put("E");
	mark('\t');
	put(cwd);
	mark('\t');
	for (int at = 1; at < argc; at++) {
		put(argv[at]);
		mark(' ');
	}
}

static int end(int status)
{
	char number[24];

	snprintf(number, sizeof number, "%d", status);
	put_pair('s', "", number);
	line[used++] = '\n';
	log_bytes(line, used);
	return status;
}

/* ---- faults ------------------------------------------------------------------------------------------------------ */

static long runs_since(long offset)
{
	char path[PATH_MAX + 16], buffer[8192];
	long runs = 0, got;
	char last = '\n';

	snprintf(path, sizeof path, "%s/runs.log", home);
	long fd = raw_open(path, O_RDONLY | O_CLOEXEC);
	raw(SYS_lseek, fd, offset, SEEK_SET, 0);
	while ((got = raw(SYS_read, fd, (long)buffer, sizeof buffer, 0)) > 0)
		for (long at = 0; at < got; at++) {
			runs += last == '\n' && buffer[at] == 'S';
			last = buffer[at];
		}
	raw(SYS_close, fd, 0, 0, 0);
	return runs;
}

static pid_t parent_of(pid_t pid)
{
	char path[64], text[512] = "";
	snprintf(path, sizeof path, "/proc/%d/stat", (int)pid);
	long fd = raw_open(path, O_RDONLY | O_CLOEXEC);
	raw(SYS_read, fd, (long)text, sizeof text - 1, 0);
	raw(SYS_close, fd, 0, 0, 0);
	const char *after = strrchr(text, ')');
	int parent = 0;
	if (after)
		sscanf(after + 1, " %*c %d", &parent);
	return parent;
}

static void strike(const char *action, const char *output)
{
	bool torn = !strncmp(action, "torn-", 5);

	if (torn) {
		action += 5;
		int fd = output ? open(output, O_WRONLY | O_CREAT | O_TRUNC, 0666) : -1;
		if (fd >= 0) {
			if (write(fd, "torn", 4) != 4)
				abort();
			close(fd);
		}
	}
	if (!strcmp(action, "self"))
		kill(getpid(), SIGKILL);
	else if (!strcmp(action, "launcher"))
		kill(getppid(), SIGKILL);
	else if (!strcmp(action, "make"))
		kill(parent_of(getppid()), SIGKILL);
	else if (!strcmp(action, "all"))
		kill(0, SIGKILL);
	else
		kill(0, SIGINT);
	sleep(1);
	if (torn)
		_exit(1); /* whoever tears its output does not end well */
}

static void perhaps_fault(const char *output)
{
	char path[PATH_MAX + 16], text[128] = "", action[64] = "";
	long offset = 0, number = 0;

	snprintf(path, sizeof path, "%s/fault", home);
	long fd = raw_open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return;
	raw(SYS_read, fd, (long)text, sizeof text - 1, 0);
	raw(SYS_close, fd, 0, 0, 0);
	if (sscanf(text, "%ld %ld %63s", &offset, &number, action) != 3 || runs_since(offset) < number)
		return;
	if (raw(SYS_unlinkat, AT_FDCWD, (long)path, 0, 0) == 0)
		strike(action, output);
}

/* ---- cc ---------------------------------------------------------------------------------------------------------- */

#define MANY 64
static const char *include_dirs[MANY];
static int include_count;
static char *seen[MANY];
static int seen_count;
static char object[1 << 16];
static size_t object_size;

static void emit(const char *text)
{
	size_t size = strlen(text);

	if (object_size + size < sizeof object) {
		memcpy(object + object_size, text, size);
		object_size += size;
	}
}

static int expand(const char *path);

static int include(const char *includer, const char *name)
{
	char path[PATH_MAX];
	const char *slash = strrchr(includer, '/');

	for (int at = -1; at < include_count; at++) {
		if (at < 0)
			snprintf(path, sizeof path, "%.*s%s", slash ? (int)(slash - includer + 1) : 0, includer, name);
		else
			snprintf(path, sizeof path, "%s/%s", include_dirs[at], name);
		if (access(path, R_OK) == 0)
			return expand(path);
		put_pair('i', path, "-");
	}
	fprintf(stderr, "%s: no %s\n", includer, name);
	return 1;
}

static int expand(const char *path)
{
	char text[4096], name[256];

	for (int at = 0; at < seen_count; at++)
		if (!strcmp(seen[at], path))
			return 0;
	if (seen_count == MANY)
		return 1;
	seen[seen_count++] = strdup(path);
	put_pair('i', path, digest(path));
	FILE *file = fopen(path, "r");
	if (!file) {
		fprintf(stderr, "%s: %s\n", path, strerror(errno));
		return 1;
	}
	int bad = 0;
	while (!bad && fgets(text, sizeof text, file)) {
		if (sscanf(text, "#include \"%255[^\"]\"", name) == 1) {
			bad = include(path, name);
		} else if (sscanf(text, "#env %255s", name) == 1) {
			const char *value = getenv(name);
			put_pair('e', name, value ? value : "-");
			emit(value ? value : "unset");
			emit("\n");
		} else if (!strncmp(text, "#error", 6)) {
			fprintf(stderr, "%s: %s", path, text);
			bad = 1;
		} else if (strncmp(text, "//", 2)) {
			emit(text);
		}
	}
	fclose(file);
	return bad;
}

static int store(const char *path, const char *data, size_t size)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);

	if (fd < 0 || write(fd, data, size) != (ssize_t)size || close(fd)) {
		fprintf(stderr, "%s: %s\n", path, strerror(errno));
		return 1;
	}
	return 0;
}

static int store_depfile(const char *path, const char *output)
{
	char text[1 << 14];
	int size = snprintf(text, sizeof text, "%s:", output);

	for (int at = 0; at < seen_count; at++)
		size += snprintf(text + size, sizeof text - (size_t)size, " %s", seen[at]);
	size += snprintf(text + size, sizeof text - (size_t)size, "\n");
	for (int at = 1; at < seen_count; at++)
		size += snprintf(text + size, sizeof text - (size_t)size, "%s:\n", seen[at]);
	return store(path, text, (size_t)size);
}

static int compile(int argc, char **argv)
{
	const char *output = NULL, *source = NULL, *depfile = NULL;

	for (int at = 2; at < argc; at++) {
		const char *value = at + 1 < argc ? argv[at + 1] : NULL;
		if (!strcmp(argv[at], "-I") && include_count < MANY)
			include_dirs[include_count++] = value, at++;
		else if (!strcmp(argv[at], "-D"))
			emit(value), emit("\n"), at++;
		else if (!strcmp(argv[at], "-MD"))
			depfile = value, at++;
		else if (!strcmp(argv[at], "-o"))
			output = value, at++;
		else
			source = argv[at];
	}
	if (!source || !output)
		return 2;
	perhaps_fault(output);
	int status = expand(source) || store(output, object, object_size) || (depfile && store_depfile(depfile, output));
	put_pair('o', output, own_digest(output));
	if (depfile)
		put_pair('o', depfile, own_digest(depfile));
	return end(status);
}

/* ---- a command --------------------------------------------------------------------------------------------------- */

int main(int argc, char **argv)
{
	const char *executed = (const char *)getauxval(AT_EXECFN);
	int at, status = 0;
	const char *output = NULL;

	snprintf(home, sizeof home, "%s", executed ? executed : "");
	for (int level = 0; level < 2; level++) {
		char *slash = strrchr(home, '/');
		if (!slash)
			return 126;
		*slash = '\0';
	}
	begin(argc, argv);
	if (argc > 1 && !strcmp(argv[1], "cc"))
		return compile(argc, argv);
	for (at = 1; at + 1 < argc && strcmp(argv[at], "--"); at += 2) {
		const char *value = getenv(argv[at][1] == 'e' ? argv[at + 1] : "PATH");
		if (argv[at][1] == 'i')
			put_pair('i', argv[at + 1], input_digest(argv[at + 1]));
		else if (argv[at][1] == 'l')
			put_listing(argv[at + 1]);
		else if (argv[at][1] == 'e')
			put_pair('e', argv[at + 1], value ? value : "-");
		else if (!output)
			output = argv[at + 1];
	}
	if (at + 1 >= argc)
		return 126;
	perhaps_fault(output);
	pid_t child = fork();
	if (child == 0) {
		execvp(argv[at + 1], argv + at + 1);
		_exit(127);
	}
	if (child < 0 || waitpid(child, &status, 0) != child)
		return 126;
	for (int out = 1; out < at; out += 2)
		if (argv[out][1] == 'o')
			put_pair('o', argv[out + 1], own_digest(argv[out + 1]));
	return end(WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status));
}
