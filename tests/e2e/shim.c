/* Logs one run of a tool, then becomes that tool: the next program of this name on PATH.
 *
 * The log lies beside our own directory (DIR/bin/cc writes DIR/runs.log). The line is written by system calls of
 * our own, not libc's: were the log visible to the build tool under test, it would be an output of every step, and
 * the tool would rightly rewind it. Nothing here depends on the environment but PATH, and the binary never changes.
 */
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <stdlib.h>
#include <sys/auxv.h>
#include <unistd.h>
#include "raw.h"

/* One line: the tool's name and its arguments. */
static size_t describe(char *line, size_t room, const char *name, char **argv)
{
	size_t used = (size_t)snprintf(line, room, "%s", name);

	for (char **arg = argv + 1; *arg && used < room - 2; arg++) {
		line[used++] = ' ';
		for (const char *c = *arg; *c && used < room - 1; c++)
			line[used++] = *c == '\n' ? ' ' : *c;
	}
	line[used++] = '\n';
	return used;
}

static void log_run(const char *directory, const char *name, char **argv)
{
	char path[PATH_MAX], line[1 << 16];
	size_t used = describe(line, sizeof line, name, argv);

	snprintf(path, sizeof path, "%s/../runs.log", directory);
	/* 02001: O_WRONLY | O_APPEND, the same on both machines; the file exists. */
	long fd = raw(SYS_openat, -100, (long)path, 02001, 0);
	if (fd >= 0) {
		raw(SYS_write, fd, (long)line, (long)used, 0);
		raw(SYS_close, fd, 0, 0, 0);
	}
}

int main(int argc, char **argv)
{
	const char *executed = (const char *)getauxval(AT_EXECFN);
	char *self = executed ? strdup(executed) : NULL;
	char *slash = self ? strrchr(self, '/') : NULL;
	char *path = getenv("PATH") ? strdup(getenv("PATH")) : NULL;
	char next[PATH_MAX];

	if (argc < 1 || !slash || !path)
		return 126;
	*slash = '\0';
	log_run(self, slash + 1, argv);
	for (char *directory = strtok(path, ":"); directory; directory = strtok(NULL, ":")) {
		if (!strcmp(directory, self))
			continue;
		snprintf(next, sizeof next, "%s/%s", directory, slash + 1);
		argv[0] = next; /* cc looks for its parts relative to its own path */
		execv(next, argv);
	}
	return 127;
}
