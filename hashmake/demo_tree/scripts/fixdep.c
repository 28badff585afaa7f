/* fixdep DEPFILE TARGET COMMAND: prints a makefile fragment with the command and the prerequisites of TARGET.
 *
 * autoconf.h, which every file includes, is replaced by the stamp files of those options that the prerequisites
 * mention, so that changing an option rebuilds its users and nothing else. */
#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static char *slurp(const char *name)
{
	FILE *f = fopen(name, "r");
	size_t used = 0, room = 4096, n;
	char *text = malloc(room);

	if (!f || !text) {
		perror(name);
		exit(1);
	}
	while ((n = fread(text + used, 1, room - used - 1, f)) > 0) {
		used += n;
		if (room - used < 2)
			text = realloc(text, room *= 2);
		if (!text)
			exit(1);
	}
	fclose(f);
	text[used] = 0;
	return text;
}

static void print_options(const char *text)
{
	static char seen[64][64];
	static int count;
	const char *at = text;

	while ((at = strstr(at, "CONFIG_"))) {
		char name[64];
		int length = 0, i;

		at += strlen("CONFIG_");
		while (length < 63 && (isalnum((unsigned char)at[length]) || at[length] == '_')) {
			name[length] = at[length];
			length++;
		}
		name[length] = 0;
		for (i = 0; i < count && strcmp(seen[i], name); i++)
			;
		if (length && i == count && count < 64) {
			strcpy(seen[count++], name);
			printf(" \\\n  $(wildcard include/config/%s)", name);
		}
	}
}

int main(int argc, char **argv)
{
	char *word, *deps;

	if (argc != 4)
		return 1;
	printf("saved_%s := %s\n\n%s:", argv[2], argv[3], argv[2]);
	deps = slurp(argv[1]);
	for (word = strtok(deps, " \t\n\\"); word; word = strtok(NULL, " \t\n\\")) {
		size_t length = strlen(word);
		char *text;

		if (word[length - 1] == ':' || (length > 11 && !strcmp(word + length - 10, "autoconf.h")))
			continue;
		printf(" \\\n  $(wildcard %s)", word);
		text = slurp(word);
		print_options(text);
		free(text);
	}
	printf("\n");
	free(deps);
	return 0;
}
