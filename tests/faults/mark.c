/* The tools `begin`, `end` and `nap` of the workshop: what they log, and how long they sleep, no interposer sees.
 *
 * DIR/bin/begin NAME appends "begin NAME nanoseconds" to DIR/marks.log, `end` the same; `nap` sleeps as many
 * milliseconds as DIR/nap says. Were the log a file that the build tool under test saw, it would be an output of every
 * step; were the sleep an argument, a clean build could not do without it.
 */
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/auxv.h>
#include <time.h>
#include "../e2e/raw.h"

enum { HERE = -100, APPEND = 02001 }; /* AT_FDCWD; O_WRONLY | O_APPEND, the same on both machines */

static void nap(const char *directory)
{
	char path[PATH_MAX], text[32] = "";

	snprintf(path, sizeof path, "%s/../nap", directory);
	long fd = raw(SYS_openat, HERE, (long)path, 0, 0);
	if (fd < 0)
		return;
	raw(SYS_read, fd, (long)text, sizeof text - 1, 0);
	raw(SYS_close, fd, 0, 0, 0);
	struct timespec pause = {0, atol(text) * 1000000};
	raw(SYS_nanosleep, (long)&pause, 0, 0, 0);
}

static void mark(const char *directory, const char *what, const char *name)
{
	char path[PATH_MAX], line[256];
	struct timespec now;

	raw(SYS_clock_gettime, CLOCK_MONOTONIC, (long)&now, 0, 0);
	int used = snprintf(line, sizeof line, "%s %s %lld\n", what, name, now.tv_sec * 1000000000LL + now.tv_nsec);
	snprintf(path, sizeof path, "%s/../marks.log", directory);
	long fd = raw(SYS_openat, HERE, (long)path, APPEND, 0);
	if (fd < 0)
		return;
	raw(SYS_write, fd, (long)line, used, 0);
	raw(SYS_close, fd, 0, 0, 0);
}

int main(int argc, char **argv)
{
	char *self = strdup((const char *)getauxval(AT_EXECFN)), *slash = strrchr(self, '/');

	if (!slash)
		return 126;
	*slash = '\0';
	if (!strcmp(slash + 1, "nap"))
		nap(self);
	else if (argc == 2)
		mark(self, slash + 1, argv[1]);
	else
		return 126;
	return 0;
}
